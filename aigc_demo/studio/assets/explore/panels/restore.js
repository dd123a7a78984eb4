// -- the view "Take noise off": a test picture or one's own, with noise that is set here, and what the model takes that for

const kinds = $('[name=restore-noise]'), tools = $('.restore-tools');
let number = 0, picture = '', of = null;   // which test picture; base64 of one's own; the checkpoint whose kinds of noise are shown

const amount = slider(say('restore.amount'), 0.3, 0, 1, 0.01, { name: 'restore-amount' }, () => ask());
const restored = channel((payload) => server.restore(payload), (answer, payload) => {
  if (payload.state.checkpoint !== about.name) return;
  for (const name of ['original', 'noisy', 'restored']) paint($(`.restore-${name}`), answer[name]);
  const [, noisy, clean] = pad.querySelectorAll('.restore-pictures figcaption');
  const none = payload.noise === 'none';
  noisy.textContent = none ? say('restore.none') : say('restore.noisy', { psnr: answer.before.toFixed(1) });
  clean.textContent = none ? say('restore.made') : say('restore.restored', { psnr: answer.after.toFixed(1) });
  $('.restore-pictures').dataset.shown = JSON.stringify([payload.noise, payload.amount, payload.number, answer.before, answer.after]);
  $('.restore-says').textContent = answer.notes.length ? `${say('invert.done')} ${answer.notes.join('; ')}.` : '';
  complain('');
});
const ask = () => { if (of === about.name && kinds.options.length) restored({ state: copy(), noise: kinds.value, amount: Number(amount.querySelector('input').value), number, picture }); };

async function enter() {
  const name = about.name;
  const { kinds: known, why, error } = await server.restore_kinds(name).catch(() => ({ error: say('lost') }));
  if (about.name !== name) return;
  if (error) return complain(error);
  of = name;
  tools.hidden = $('.restore-pictures').hidden = $('.restore-how').hidden = !known.length;
  $('.restore-says').textContent = why;
  kinds.replaceChildren(...(known.length ? [...known, 'none'] : []).map((kind) => make('option', { value: kind, textContent: say(`restore.${kind}`) })));
  ask();
}

async function take(file) {
  if (!kinds.options.length) return complain($('.restore-says').textContent);
  const bytes = new Uint8Array(await file.arrayBuffer());
  picture = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
  ask();
}

$('.restore-amount').replaceChildren(amount);
kinds.addEventListener('change', ask);
$('.restore-another').addEventListener('click', () => { picture = ''; number += 1; ask(); });
$('.restore-file input').addEventListener('change', (event) => { if (event.target.files[0]) take(event.target.files[0]); event.target.value = ''; });
panels.push({ id: 'restore', word: 'restore', fits: () => about.restores, show: enter, opened: enter, take });
