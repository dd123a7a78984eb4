// -- the address follows the picture; a link, or a file that this program wrote, brings it back

const OWN = /^(model|hash|seed|index|class|place|sliders|ways|numbers|latent|keep|set\..*|name\..*)$/;
const FOLLOW = 400;  // ms after the last change: browsers allow few changes of the address a second

function address(query, without) {  // this page's, with another picture; settings of the page stay
  const others = [...new URLSearchParams(location.search)].filter(([key]) => !OWN.test(key) && key !== without);
  const rest = new URLSearchParams(others).toString();
  return `${location.pathname}?${[rest, query].filter(Boolean).join('&')}`;
}

const withNames = (s) => ({ ...s, names: own().names, kept: own().kept });
const following = channel((s) => server.link(withNames(s)), (answer, s) => {
  if (same(s, state) && !new URLSearchParams(location.search).has('run')) history.replaceState(history.state, '', address(answer.query));
});
let soon = 0;
function follow() {
  clearTimeout(soon);
  soon = setTimeout(() => following(copy()), FOLLOW);
}

async function toClipboard(text, button) {
  const word = button.textContent;
  try { await navigator.clipboard.writeText(text); } catch {  // a page that is not served safely has no clipboard of its own
    const field = make('textarea', { value: text });
    pad.append(field);
    field.select();
    document.execCommand('copy');
    field.remove();
  }
  button.textContent = say('copied');
  setTimeout(() => { button.textContent = word; }, 1500);
}

async function share() {
  const answer = await server.link(withNames(copy())).catch(() => ({ error: say('lost') }));
  if (answer.error) return complain(answer.error);
  toClipboard(new URL(address(answer.query, 'run'), location.href).href, $('.share'));
}

async function arrive(asked) {  // whether the picture was brought back
  const answer = await server.arrive({ ...asked, opened: remembered() }).catch(() => ({ error: say('lost') }));
  if (answer.error) { complain(answer.error); return false; }
  if (!await setState(answer.state)) return false;
  const mine = own();
  if (Object.keys(answer.names).length || answer.kept.length) {  // what the visitor has named stays
    store({ names: { ...answer.names, ...mine.names }, kept: mine.kept.length ? mine.kept : answer.kept });
    directions();
    around();
  }
  notice = answer.says && { of: copy(), sentence: say(answer.says.key, answer.says) };
  if (notice) complain(notice.sentence);
  return true;
}

async function openFile(file) {
  const read = new FileReader();
  await new Promise((done) => { read.onloadend = done; read.readAsDataURL(file); });
  if (await arrive({ file: String(read.result).split(',')[1] || '' })) return;
  const other = panels.find((panel) => panel.take), sentence = $('.line').textContent;
  if (!other || !file.type.startsWith(`${about.kind}/`)) return;
  choose(other.id);  // a picture or a clip without a recipe can still be looked for
  await other.take(file);
  if (!$('.line').textContent) complain(sentence);  // else what is wrong with it has been said
}

const mat = $('.mat');
mat.addEventListener('dragover', (event) => { event.preventDefault(); mat.classList.add('over'); });
mat.addEventListener('dragleave', () => mat.classList.remove('over'));
mat.addEventListener('drop', (event) => {
  event.preventDefault();
  mat.classList.remove('over');
  if (event.dataTransfer.files.length) openFile(event.dataTransfer.files[0]);
});
$('[name=file]').addEventListener('change', (event) => { if (event.target.files.length) openFile(event.target.files[0]); event.target.value = ''; });
$('.open').addEventListener('click', () => $('[name=file]').click());
$('.share').addEventListener('click', share);
