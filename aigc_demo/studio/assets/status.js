// What is said of the run in view. While it may move, the page asks how it goes, and calls for the whole view only when there is news:
// an event costs Gradio's page by the number of its outputs. Texts hold **words** that weigh more, and no markup.
const line = element.querySelector('p');
let now = {}, busy = false;

const tell = (text) => line.replaceChildren(...text.split('**').map((part, k) => (k % 2 ? Object.assign(document.createElement('strong'), { textContent: part }) : part)));

function take() {
  const value = props.value || say('nothing');
  now = typeof value === 'string' ? { says: value } : value;
  tell(now.says);
}

async function look() {
  const { run, seen } = now;
  if (!run || busy) return;
  busy = true;
  try {
    const answer = await server.look({ run, lang });
    if (now.run !== run) return;
    if (answer.error || answer.seen !== seen) trigger('release');
    if (answer.error) return;
    tell(answer.says);
    document.querySelector('#train-curves .curves')?.dispatchEvent(new CustomEvent('more', { detail: answer.points }));
  } catch { tell(say('lost')); } finally { busy = false; }
}

take();
watch('value', take);
const clock = setInterval(() => (element.isConnected ? look() : clearInterval(clock)), every);
