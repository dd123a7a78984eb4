// -- what is to be drawn in words, where the checkpoint reads them: the picture appears step by step

const asked = $('[name=prompt]');
const STEP = 70;  // ms that one step is shown
const stages = channel((s) => server.prompt_stages({ state: s }), async (answer, s) => {
  for (const picture of answer.items) {
    if (!same(s, state)) return;
    paint(hero, picture);
    pad.dataset.stages = 1 + Number(pad.dataset.stages || 0);
    await new Promise((done) => { setTimeout(done, matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : STEP); });
  }
  if (same(s, state)) moved(true);
});

function ask(prompt) {
  if (prompt === (state.sampling.prompt || '')) return;
  state.sampling.prompt = prompt;
  delete state.sampling.mix;
  playing = false;
  tellPrompt();
  stages(copy());
}

function tellPrompt() {
  $('.asked').hidden = !about.reads;
  if (document.activeElement !== asked) asked.value = state.sampling.prompt || '';
  $('.examples').replaceChildren(...about.examples.map((text) => {
    const chip = make('button', { type: 'button', textContent: text });
    chip.setAttribute('aria-pressed', text === state.sampling.prompt);
    chip.addEventListener('click', () => { asked.value = text; ask(text); });
    return chip;
  }));
}

asked.addEventListener('change', () => ask(asked.value.trim()));
