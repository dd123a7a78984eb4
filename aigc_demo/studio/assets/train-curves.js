// The Train tab's charts: the run that the server names, looked at again whenever it says that there is more.
const own = charts(element.querySelector('.curves'), (id, have) => server.news({ run: id, have }), false);
let points = -1;   // of the log, when it was looked at last
const follow = () => own.show(props.value && props.value.run ? [{ id: props.value.run, name: '' }] : []);
element.querySelector('.curves').addEventListener('more', (event) => {
  if (event.detail !== points) { points = event.detail; follow(); }
});
follow();
watch('value', follow);
