// Charts of a run's terms, or of one term of several runs. The server sends what is new; the page appends it and draws again.
// Every text goes through textContent: a term's or a run's name is never markup.
const make = (tag, name = '', text = '') => {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
};
const clock = (seconds) => {
  const s = Math.round(seconds), two = (n) => String(n).padStart(2, '0');
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
};
const short = (v) => (v == null ? '–' : v !== 0 && (Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3) ? v.toExponential(2) : String(Number(v.toPrecision(4))));

// Okabe and Ito's colours, told apart by people of every colour vision; a seventh line and on is dashed
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];
const SPAN = 10;    // buckets that a smoothed value reaches back over: the same at each refresh, so that what is drawn stays
const ROWS = 12;    // of the table of numbers
const ORDER = ['training', 'held-out'];

const library = () => (window.aigcPlots ||= new Promise((done, failed) => {
  const script = document.createElement('script');
  script.src = `${vendor}/uPlot.iife.min.js`;
  script.onload = done;
  script.onerror = failed;
  document.head.append(script);
}));

// ask(run id, what the page has) -> what is new of it; `several`: one chart of one term, a line a run
function charts(box, ask, several) {
  const known = new Map();       // run id -> {version, points, charts: {part: {names, level, full, rows}}}
  const figures = new Map();     // part -> its figure
  const settings = { log: false, by: 'steps', term: '' };
  let runs = [];                 // [{id, name}]

  const bar = make('div', 'bar');
  const choice = make('select');
  const switches = make('div', 'switches');
  const toggle = (key, on) => {
    const button = make('button', key, say(`curves.${key}`));
    button.type = 'button';
    button.addEventListener('click', () => { on(); draw(); });
    switches.append(button);
    return button;
  };
  const seconds = toggle('time', () => { settings.by = settings.by === 'steps' ? 'seconds' : 'steps'; });
  const logarithm = toggle('log', () => { settings.log = !settings.log; });
  choice.setAttribute('aria-label', say('curves.term'));
  choice.addEventListener('change', () => { settings.term = choice.value; draw(); });
  bar.append(...(several ? [choice] : []), switches);
  const sheet = make('div', 'figures');
  box.replaceChildren(bar, sheet);
  box.hidden = true;

  // -- what is known

  function take(id, news) {
    let have = known.get(id);
    if (!have || have.version !== news.version) known.set(id, have = { version: news.version, charts: {} });
    have.points = news.points;
    for (const [part, { from, rows, ...rest }] of Object.entries(news.charts)) {
      const old = have.charts[part] ? have.charts[part].rows.slice(0, from) : [];
      have.charts[part] = { ...rest, rows: old.concat(rows) };
    }
  }

  const cursor = (id) => {
    const have = known.get(id);
    if (!have) return null;
    const parts = Object.entries(have.charts).map(([part, c]) => [part, [c.level, c.full, c.names.length]]);
    return { version: have.version, points: have.points, ...Object.fromEntries(parts) };
  };

  let busy = false, again = false;
  async function refresh() {  // one look at a time; what was asked meanwhile is one more look
    again = true;
    if (busy) return;
    busy = true;
    try {
      while (again) {
        again = false;
        const began = performance.now();
        const asked = [...runs];
        const answers = await Promise.all(asked.map(({ id }) => ask(id, cursor(id)).catch(() => null)));
        await library();
        const had = performance.now();
        answers.forEach((news, i) => { if (news && !news.error) take(asked[i].id, news); });
        draw();
        Object.assign(box.dataset, { asked: (had - began).toFixed(1), drawn: (performance.now() - had).toFixed(1), looks: 1 + Number(box.dataset.looks || 0) });
      }
    } finally { busy = false; }
  }

  // -- lines: {name, xs, mean, low, high, smooth}

  function smoothed(values) {
    const keep = 1 - 2 / (SPAN + 1);
    let sum = 0, weight = 0;
    return values.map((v) => {
      if (v == null) return null;
      sum = sum * keep + v * (1 - keep);
      weight = weight * keep + (1 - keep);
      return sum / weight;
    });
  }

  function line(chart, name, called, part) {
    const k = 2 + 3 * chart.names.indexOf(name), xs = chart.rows.map((row) => row[settings.by === 'steps' ? 0 : 1]);
    const column = (j) => chart.rows.map((row) => { const v = row[k + j] ?? null; return settings.log && v <= 0 ? null : v; });
    const mean = column(0);
    return { name: called, xs, mean, low: column(1), high: column(2), smooth: part === 'training' ? smoothed(mean) : mean };
  }

  const title = (name) => name.replace(/^held-out /, '');

  function wanted() {  // {part: {heading, lines, marked}}
    const found = {};
    if (!several) {
      const { charts: own = {} } = known.get(runs[0]?.id) || {};
      for (const part of [...new Set([...ORDER, ...Object.keys(own)])]) {
        const chart = own[part];
        if (chart && chart.rows.length > 1) found[part] = { heading: say(`curves.${part}`), lines: chart.names.map((n) => line(chart, n, title(n), part)), part };
      }
      return found;
    }
    const shared = new Map();    // term -> how many of the runs have it; what most of them have is shown until somebody chooses
    for (const { id } of runs) for (const [part, c] of Object.entries(known.get(id)?.charts || {})) for (const n of c.names) shared.set(`${part}/${n}`, (shared.get(`${part}/${n}`) || 0) + 1);
    const terms = [...shared.keys()].sort((a, b) => shared.get(b) - shared.get(a) || b.startsWith('held-out') - a.startsWith('held-out'));
    const term = shared.has(settings.term) ? settings.term : terms[0] || '';
    if (choice.dataset.terms !== String(terms)) {
      choice.dataset.terms = String(terms);
      choice.replaceChildren(...terms.map((t) => { const o = make('option', '', t.slice(t.indexOf('/') + 1)); o.value = t; return o; }));
    }
    choice.value = term;
    const [part, name] = [term.slice(0, term.indexOf('/')), term.slice(term.indexOf('/') + 1)];
    const lines = runs.flatMap((run) => { const c = known.get(run.id)?.charts[part]; return c && c.names.includes(name) ? [line(c, name, run.name, part)] : []; });
    if (lines.some((l) => l.xs.length > 1)) found.runs = { heading: name, lines, part };
    return found;
  }

  // -- figures

  function figure(part) {
    const whole = make('figure', 'chart'), heading = make('figcaption'), plot = make('div', 'plot'), legend = make('div', 'legend');
    const numbers = make('details', 'numbers'), table = make('table');
    const at = make('span', 'at');
    heading.append(make('span', 'title'), at);
    plot.tabIndex = 0;
    plot.setAttribute('role', 'img');
    numbers.append(make('summary', '', say('curves.numbers')), table);
    whole.append(heading, plot, legend, numbers);
    const own = { whole, plot, legend, table, numbers, at, title: heading.firstChild, hidden: new Set(), shape: '', u: null, lines: [] };
    numbers.addEventListener('toggle', () => fill(own));
    plot.addEventListener('keydown', (e) => {
      const way = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
      if (!way || !own.u) return;
      e.preventDefault();
      const xs = own.u.data[0], now = own.u.cursor.idx ?? xs.length - 1, next = Math.max(0, Math.min(xs.length - 1, now + way * Math.ceil(xs.length / 50)));
      own.u.setCursor({ left: own.u.valToPos(xs[next], 'x'), top: 10 });
    });
    plot.addEventListener('blur', () => own.u && own.u.setCursor({ left: -10, top: -10 }));
    new ResizeObserver(() => size(own)).observe(plot);
    figures.set(part, own);
    return own;
  }

  const height = 200;
  function size(own) {
    const width = own.plot.clientWidth;
    if (own.u && width && width !== own.u.width) own.u.setSize({ width, height });
    else if (!own.u && width && own.lines.length) plotted(own);
  }

  const ink = (name) => getComputedStyle(box).getPropertyValue(name).trim() || '#777';
  const when = (v) => (settings.by === 'steps' ? say('curves.step', { step: Math.round(v).toLocaleString() }) : clock(v));

  function plotted(own) {
    own.u?.destroy();
    own.u = null;
    const width = own.plot.clientWidth;
    if (!width) return;  // a hidden tab; the observer comes back
    const series = [{}], bands = [];
    own.lines.forEach((l, i) => {
      const colour = COLOURS[i % COLOURS.length], show = !own.hidden.has(l.name), dash = i < COLOURS.length ? undefined : [6, 4];
      const single = own.part !== 'training';
      bands.push({ series: [series.length, series.length + 1], fill: `${colour}22` });
      series.push(
        { show, stroke: 'transparent', width: 0, points: { show: false } },
        { show, stroke: 'transparent', width: 0, points: { show: false } },
        { show: show && !single, stroke: `${colour}55`, width: 1, points: { show: false } },
        { show, stroke: colour, width: 2, dash, points: { show: single && l.xs.length < 60, size: 5, fill: colour } },
      );
    });
    const axis = { stroke: () => ink('--body-text-color-subdued'), grid: { stroke: () => ink('--border-color-primary'), width: 1 }, ticks: { show: false }, font: '12px system-ui, sans-serif', labelFont: '12px system-ui, sans-serif', labelSize: 18, labelGap: 0 };
    own.u = new uPlot({
      width, height, series, bands, legend: { show: false }, padding: [8, 8, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: false }, y: { distr: settings.log ? 3 : 1 } },
      axes: [
        { ...axis, size: 28, label: say(`curves.x.${settings.by}`), values: (u, all) => all.map((v) => (settings.by === 'steps' ? v.toLocaleString() : clock(v))), space: 70 },
        { ...axis, grid: { ...axis.grid, filter: (u, all) => all.map((v) => (!settings.log || Number.isInteger(Math.round(1e6 * Math.log10(v)) / 1e6) ? v : null)) }, size: 52, label: say('curves.value'), values: (u, all) => all.map((v) => (v == null ? '' : short(v))), space: 32 },
      ],
      hooks: { setCursor: [() => readout(own)] },
    }, data(own), own.plot);
  }

  function data(own) {
    return uPlot.join(own.lines.map((l) => [l.xs, l.high, l.low, l.mean, l.smooth]));
  }

  function readout(own) {
    const idx = own.u?.cursor.left >= 0 ? own.u.cursor.idx : null;
    own.at.textContent = idx == null ? '' : when(own.u.data[0][idx]);
    own.lines.forEach((l, i) => {
      let value = l.smooth.at(-1);
      if (idx != null) {  // the line's own point at or before the cursor
        const x = own.u.data[0][idx];
        let k = l.xs.length - 1;
        while (k > 0 && l.xs[k] > x) k--;
        value = l.smooth[k];
      }
      own.legend.children[i].lastChild.textContent = short(value);
    });
  }

  function keys(own) {
    own.legend.replaceChildren(...own.lines.map((l, i) => {
      const key = make('button'), swatch = make('i', i < COLOURS.length ? '' : 'dashed');
      key.type = 'button';
      swatch.style.color = COLOURS[i % COLOURS.length];
      key.setAttribute('aria-pressed', !own.hidden.has(l.name));
      key.append(swatch, make('span', '', l.name), make('b'));
      key.addEventListener('click', () => {
        if (!own.hidden.delete(l.name)) own.hidden.add(l.name);
        key.setAttribute('aria-pressed', !own.hidden.has(l.name));
        plotted(own);
      });
      return key;
    }));
  }

  function fill(own) {  // some of the numbers, for whoever cannot see the lines or wants to copy them
    if (!own.numbers.open) return;
    const head = make('tr');
    head.append(...[say(`curves.x.${settings.by}`), ...own.lines.map((l) => l.name)].map((t) => { const th = make('th', '', t); th.scope = 'col'; return th; }));
    const xs = own.u ? own.u.data[0] : [], count = Math.min(ROWS, xs.length);
    const rows = [...Array(count).keys()].map((i) => {
      const at = count === 1 ? 0 : Math.round((i * (xs.length - 1)) / (count - 1)), row = make('tr');
      row.append(make('td', '', settings.by === 'steps' ? Math.round(xs[at]).toLocaleString() : clock(xs[at])));
      own.lines.forEach((l, j) => row.append(make('td', '', short(own.u.data[4 * j + 3][at]))));
      return row;
    });
    own.table.replaceChildren(head, ...rows);
  }

  function draw() {
    if (!window.uPlot) return;
    const now = wanted();
    seconds.textContent = say(settings.by === 'steps' ? 'curves.time' : 'curves.steps');
    logarithm.setAttribute('aria-pressed', settings.log);
    for (const [part, own] of figures) if (!now[part]) { own.u?.destroy(); own.whole.remove(); figures.delete(part); }
    box.hidden = Object.keys(now).length === 0;
    for (const [i, [part, { heading, lines, part: kind }]] of Object.entries(now).entries()) {
      const own = figures.get(part) || figure(part);
      own.lines = lines;
      own.part = kind;
      own.title.textContent = heading;
      if (sheet.children[i] !== own.whole) sheet.insertBefore(own.whole, sheet.children[i] ?? null);  // whichever had points first
      const shape = JSON.stringify([settings, lines.map((l) => [l.name, kind !== 'training' && l.xs.length < 60])]);
      if (own.shape !== shape || !own.u) { own.shape = shape; keys(own); plotted(own); } else own.u.setData(data(own));
      readout(own);
      fill(own);
      const last = lines.map((l) => `${l.name} ${short(l.smooth.at(-1))}`).join(', ');
      own.plot.setAttribute('aria-label', say('curves.said', { title: heading, last, at: when(Math.max(...lines.map((l) => l.xs.at(-1)))) }));
    }
  }

  new MutationObserver(() => figures.forEach((own) => own.u?.redraw())).observe(document.body, { attributes: true, attributeFilter: ['class'] });

  return {
    show(list) {  // [{id, name}]
      const same = JSON.stringify(list) === JSON.stringify(runs);
      runs = list;
      for (const id of [...known.keys()]) if (!runs.some((r) => r.id === id)) known.delete(id);
      if (!same) draw();
      if (runs.length) refresh();
    },
  };
}
