// The health light: a shape and a colour, a word, and the evidence in a fold. Every text goes through textContent.
const SHAPES = { good: '●', wait: '○', bad: '▲' };
const box = element.querySelector('.light'), $ = (selector) => box.querySelector(selector);
const show = () => {
  const { word, tone, since, evidence = [], advice } = props.value || {};
  box.hidden = !word;
  if (!word) return;
  box.dataset.tone = tone;
  $('.dot').textContent = SHAPES[tone];
  $('strong').textContent = word;
  $('.since').textContent = since;
  $('ul').replaceChildren(...evidence.map((text) => Object.assign(document.createElement('li'), { textContent: text })));
  $('p').textContent = advice;
};
show();
watch('value', show);
