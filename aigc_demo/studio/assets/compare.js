// The Compare tab: a table that sorts, ticks that choose the runs whose curves are drawn over each other, and two of them side by side.
const whole = element.querySelector('.compare');
const MOST = 8;          // runs whose curves are drawn at once
const REFRESH = 3000;    // ms, while a run that is shown is at work

const none = make('p', 'none', say('compare.none')), groups = make('select', 'groups'), scroll = make('div', 'scroll'), sheet = make('table'), same = make('p', 'same');
const curvesBox = make('div', 'curves'), beside = make('section', 'pair');
groups.setAttribute('aria-label', say('compare.group'));
scroll.tabIndex = 0;
scroll.setAttribute('role', 'region');
scroll.setAttribute('aria-label', say('compare.table'));
scroll.append(sheet);
whole.replaceChildren(none, groups, scroll, same, curvesBox, beside);
const over = charts(curvesBox, (id, have) => server.news({ run: id, have }), true);

let found = { runs: [], columns: [], same: {}, groups: [] };
let ticked = null;                                   // ids, in the order of their ticks
let order = { key: 'begun', up: false };
const settings = { by: 'steps', at: 1 };             // at: a share of the way of the longer one

const state = (run) => say(`train.state.${run.state}`);
const columns = () => [
  { key: 'title', head: say('compare.run'), of: (r) => r.title, text: (r) => r.title },
  { key: 'preset', head: say('train.preset'), of: (r) => r.preset, text: (r) => r.preset },
  { key: 'data', head: say('train.data'), of: (r) => r.data, text: (r) => r.data },
  ...found.columns.map((c) => ({ key: `settings.${c}`, head: brief(c), named: c, of: (r) => r.settings[c], text: (r) => value(r.settings[c]) })),
  { key: 'steps', head: say('curves.steps.many'), number: true, of: (r) => r.steps, text: (r) => r.steps.toLocaleString() },
  { key: 'seconds', head: say('compare.time'), number: true, of: (r) => r.seconds, text: (r) => clock(r.seconds) },
  { key: 'best', head: say('compare.best'), number: true, of: (r) => r.best, text: (r) => short(r.best), title: (r) => (r.best == null ? say('compare.nobest') : `held-out ${r.monitor}, ${say('curves.step', { step: r.best_at.toLocaleString() })}`) },
  { key: 'distance', head: say('compare.distance'), number: true, of: (r) => r.distance, text: (r) => short(r.distance), title: () => say('compare.distance.about') },
  { key: 'health', head: say('compare.health'), of: (r) => r.health || null, text: (r) => (r.health ? say(`health.word.${r.health}`) : '–') },
  { key: 'state', head: say('compare.state'), of: state, text: state },
];
const last = (path) => path.split('.').at(-1);
const brief = (path) => (found.columns.filter((c) => last(c) === last(path)).length > 1 ? path : last(path));
const value = (v) => (v == null ? '–' : typeof v === 'number' ? String(Number(v.toPrecision(4))) : Array.isArray(v) ? v.join(' ') : String(v));

function sorted(runs) {
  const by = columns().find((c) => c.key === order.key)?.of || ((r) => r.begun);
  const less = (a, b) => (typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true }));
  return [...runs].sort((x, y) => {
    const a = by(x), b = by(y);
    if (a == null || b == null) return (a == null) - (b == null);  // what is missing stands last, either way
    return order.up ? less(a, b) : less(b, a);
  });
}

function rows() {
  const all = columns(), head = make('tr');
  head.append(make('th'), ...all.map((c) => {
    const th = make('th', c.number ? 'number' : ''), button = make('button', '', c.head);
    th.scope = 'col';
    if (c.named) th.title = c.named;
    button.type = 'button';
    if (order.key === c.key) th.setAttribute('aria-sort', order.up ? 'ascending' : 'descending');
    button.addEventListener('click', () => { order = { key: c.key, up: order.key === c.key ? !order.up : !c.number }; rows(); });
    th.append(button);
    return th;
  }));
  const body = sorted(found.runs).map((r) => {
    const row = make('tr', r.live ? 'live' : ''), first = make('td'), tick = make('input'), at = ticked.indexOf(r.id);
    tick.type = 'checkbox';
    tick.checked = at >= 0;
    tick.disabled = at < 0 && ticked.length >= MOST;
    tick.setAttribute('aria-label', say('compare.tick', { name: r.title }));
    tick.addEventListener('change', () => { ticked = tick.checked ? [...ticked, r.id] : ticked.filter((id) => id !== r.id); chosen(); });
    first.append(tick);
    if (at >= 0) first.style.setProperty('--line', COLOURS[at % COLOURS.length]);
    row.append(first, ...all.map((c) => {
      const cell = make('td', c.number ? 'number' : '', c.key === 'title' ? '' : c.text(r));
      if (c.title) cell.title = c.title(r);
      if (c.key === 'title') {
        const link = make('a', '', r.title);
        link.href = `?run=${encodeURIComponent(r.id)}`;
        cell.append(link);
      }
      return cell;
    }));
    return row;
  });
  const focused = sheet.contains(document.activeElement) ? [...sheet.querySelectorAll('button, input, a')].indexOf(document.activeElement) : -1;
  const thead = make('thead'), tbody = make('tbody');
  thead.append(head);
  tbody.append(...body);
  sheet.replaceChildren(thead, tbody);
  if (focused >= 0) sheet.querySelectorAll('button, input, a')[focused]?.focus();
  same.textContent = Object.keys(found.same).length ? say('compare.same', { settings: Object.entries(found.same).map(([k, v]) => `${k}=${value(v)}`).join(', ') }) : '';
}

function chosen() {
  rows();
  const runs = ticked.map((id) => found.runs.find((r) => r.id === id)).filter(Boolean);
  const names = runs.map((r) => r.title);
  over.show(runs.map((r, i) => ({ id: r.id, name: names.indexOf(r.title) === i ? r.title : `${r.title} (${i + 1})` })));
  two(runs.slice(0, 2));
}

// -- two side by side

const bar = make('div', 'bar'), way = make('button', 'way'), slider = make('input'), told = make('output'), pictures = make('div', 'pictures');
way.type = 'button';
slider.type = 'range';
Object.assign(slider, { min: 0, max: 1, step: 0.002, value: 1 });
bar.append(slider, told, way);
beside.append(make('h3', '', say('compare.pair')), bar, pictures);
beside.hidden = true;
let sides = [], asking = false, wanted = null;

function two(runs) {
  sides = runs;
  beside.hidden = runs.length < 2;
  if (!beside.hidden) look();
}

async function look() {  // one look at a time, and the newest place of the slider wins
  const reach = Math.max(1, ...sides.map((r) => r[settings.by])), at = Math.round(settings.at * reach);
  const said = settings.by === 'steps' ? say('curves.step', { step: at.toLocaleString() }) : clock(at);
  way.textContent = say(settings.by === 'steps' ? 'compare.byseconds' : 'compare.bysteps');
  told.textContent = said;
  slider.setAttribute('aria-label', say('compare.pair'));
  slider.setAttribute('aria-valuetext', said);
  wanted = { runs: sides.map((r) => r.id), by: settings.by, at };
  if (asking) return;
  asking = true;
  try {
    while (wanted) {
      const now = wanted;
      wanted = null;
      const answer = await server.pair(now).catch(() => null);
      if (answer && answer.runs) show(answer.runs);
    }
  } finally { asking = false; }
}

function show(answers) {
  answers.forEach((one, i) => {
    const run = sides.find((r) => r.id === one.run);
    if (!run) return;
    const box = pictures.children[i] || make('figure');
    if (!box.parentNode) { box.append(make('figcaption'), make('div', 'mat')); box.lastChild.append(make('img')); pictures.append(box); }
    const [caption, image] = [box.firstChild, box.querySelector('img')];
    const place = one.step == null ? say('compare.nothing') : `${say('curves.step', { step: one.step.toLocaleString() })}, ${clock(one.seconds)}`;
    caption.replaceChildren(make('b', '', run.title), make('span', '', place));
    caption.firstChild.style.setProperty('--line', COLOURS[i]);
    image.hidden = !one.src;
    if (one.src && image.src !== one.src) image.src = one.src;
    image.alt = say('compare.picture', { name: run.title, at: place });
  });
}

slider.addEventListener('input', () => { settings.at = Number(slider.value); look(); });
way.addEventListener('click', () => { settings.by = settings.by === 'steps' ? 'seconds' : 'steps'; look(); });

// -- the server's word

let timer = 0, turn = 0;
async function ask() {
  clearTimeout(timer);
  const mine = ++turn;
  const answer = await server.table({ opened: (props.value && props.value.opened) || [], group: groups.value }).catch(() => null);
  if (mine !== turn) return;  // another group was asked for meanwhile
  if (answer && answer.runs) {
    found = answer;
    if (!ticked) ticked = found.runs.slice(0, groups.value ? MOST : 2).map((r) => r.id);
    ticked = ticked.filter((id) => found.runs.some((r) => r.id === id));
    const names = found.groups;
    if (groups.dataset.names !== String(names)) {
      groups.dataset.names = String(names);
      const now = groups.value;
      groups.replaceChildren(...['', ...names].map((n) => { const o = make('option', '', n || say('compare.all')); o.value = n; return o; }));
      groups.value = names.includes(now) ? now : '';
    }
    groups.hidden = names.length === 0;
    none.hidden = found.runs.length > 0;
    scroll.hidden = !none.hidden;
    chosen();
    whole.dataset.looks = 1 + Number(whole.dataset.looks || 0);
  }
  if (found.runs.some((r) => r.live)) timer = setTimeout(() => (whole.offsetParent ? ask() : null), REFRESH);
}
groups.addEventListener('change', () => { ticked = null; ask(); });
ask();
watch('value', ask);
