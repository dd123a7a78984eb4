// What the pads of Explore share, that of pictures and that of texts. Every text goes through textContent.
const pad = element.querySelector('.pad');
const $ = (selector) => pad.querySelector(selector);
const make = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
const kept = (key, otherwise) => { try { return JSON.parse(localStorage.getItem(key)) ?? otherwise; } catch { return otherwise; } };
const keep = (key, value) => { try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* a full or forbidden store forgets */ } };
const remembered = () => kept('aigc.opened', []);   // names of checkpoints

function complain(sentence) {
  $('.line').textContent = sentence || '';
  $('.line').classList.toggle('bad', Boolean(sentence));
}
