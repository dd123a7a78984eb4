// The Train tab's charts: the run that the server names, looked at again whenever it says that there is more.
const own = charts(element.querySelector('.curves'), (id, have) => server.news({ run: id, have }), false);
const follow = () => own.show(props.value && props.value.run ? [{ id: props.value.run, name: '' }] : []);
follow();
watch('value', follow);
