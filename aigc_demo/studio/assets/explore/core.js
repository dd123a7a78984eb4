// The pad: state in, picture out. These files are joined in the order that explore.py names, then each panel's, then start.js, and run as one
// function with Gradio's `element`, `props`, `server`, `trigger` and `watch`. The template is static and every text goes through textContent:
// nothing that a checkpoint or a visitor says becomes markup.
//
// A panel is one of the views above the right-hand controls; the picture stays at their left. To add one called `map`:
//   studio/panels/map.py       ORDER, its place among the tabs (sliders is 0); functions(explore), a list of functions of one JSON payload that the
//                              page calls as `await server.<function's name>(payload)` (errors come back as {error: sentence}); endpoints(explore),
//                              which registers its named endpoints with gr.api or widgets.endpoint.
//   assets/explore/panels/map.html   its markup; it is put into <section class="panel" data-panel="map" role="tabpanel">.
//   assets/explore/panels/map.js     run inside a block of its own; it calls
//                              panels.push({ id: 'map', word: 'map', show(), hide(), opened(), moved(state), settled(state) }): `word` is a key of
//                              words.json (explore.map); show and hide are called when its tab is chosen and left, opened while another checkpoint
//                              is opened, moved while the state moves and settled when it has come to rest, all only while it is shown (show is
//                              called then as well, so that a panel need not remember what it missed). All but id and word may be left out.
//                              A panel with take(file) is handed a picture that was dropped on the hero and has no recipe inside; one whose
//                              fits() is false of the open checkpoint has no tab; named() gives another word for its tab.
//   words.json                 explore.<key> in en, zh-Hans, zh-Hant (markup with data-say="<key>" gets it as its text);  studio.css: rules that begin with .pad [data-panel="map"].
// What a panel may use: about (what the server says of the checkpoint), state (what is asked for; change it, then call moved(settled)), copy() (of the
// state, to send), await setState(next) (hero, sliders, numbers, class, sampling, seed and, where it differs, checkpoint to a given state),
// paint(canvas, picture) and decode(picture), channel(ask, done) (a function that asks with the newest payload only), complain(sentence),
// slider(...), say(word, values), chosen() (the panel shown), $ (in the pad) and make(tag, properties, ...children).
const session = Math.random().toString(36).slice(2) + Date.now().toString(36);

let about = null;    // what the server says of the checkpoint
let state = null;    // what is asked for: checkpoint, seed, sliders, numbers, label, sampling
let shown = null;    // the state that the canvas shows
let notice = null;   // what is to be said as long as it shows one state: { of, sentence }

// -- asking, newest wins

function channel(ask, done) {
  let busy = false, wanted = null;
  return async function want(payload) {
    wanted = payload;
    if (busy) return;
    busy = true;
    try {
      while (wanted) {
        const now = wanted;
        wanted = null;
        let answer;
        try { answer = await ask(now); } catch { answer = { error: say('lost') }; }
        if (answer && answer.error) complain(answer.error);
        else if (answer && !answer.superseded) { done(answer, now); }
      }
    } finally { busy = false; }
  };
}

const copy = () => JSON.parse(JSON.stringify(state));
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const draw = channel((s) => server.live(s), (answer, s) => {
  if (s.checkpoint !== about.name || (playing && !same(s, state))) return;
  show(answer, s);
  complain(notice && same(notice.of, s) ? notice.sentence : '');
});

function moved(settled) {
  draw(copy());
  if (!settled) { chosen()?.moved?.(copy()); return; }
  chosen()?.settled?.(copy());
  follow();
  if (nearest) ahead(nearest);
}

// -- to a given state

async function open(name, wanted) {
  pad.classList.add('busy');
  try {
    const answer = await server.open(name);
    if (answer.error) { complain(answer.error); if (about) $('[name=checkpoint]').value = about.name; return false; }
    if (answer.kind === 'text') {  // the part for texts shows it
      document.dispatchEvent(new CustomEvent('aigc:write', { detail: name }));
      if (about) $('[name=checkpoint]').value = about.name;
      return false;
    }
    about = answer;
    const sampling = about.reads && about.examples.length ? { prompt: about.examples[0] } : {};
    put({ seed: state ? state.seed : 7, label: about.classes.length ? 0 : null, sampling, ...wanted });
    chosen()?.opened?.();
    return true;
  } catch { complain(say('lost')); return false; } finally { pad.classList.remove('busy'); }
}

/** The number of the class that a state is drawn in: without one of its own it is its index's, in turn; null where no class is chosen. */
const classOf = (of) => of.label ?? (about.classes.length ? of.index % about.classes.length : null);

function put(next) {
  state = { seed: 7, index: 0, numbers: {}, label: null, sampling: {}, place: null, ...next, checkpoint: about.name, session };
  state.sliders = about.effects.map((_, k) => next.sliders?.[k] ?? 0);
  playing = false;
  build();
  moved(true);
}

async function setState(next) {  // without a checkpoint: this one's
  if (!about || (next.checkpoint ?? about.name) !== about.name) return open(next.checkpoint, next);
  put(next);
  return true;
}

const seed = (value) => put({ ...state, seed: value, index: 0, numbers: {}, place: null });
const another = () => seed(Math.floor(Math.random() * 100000));
