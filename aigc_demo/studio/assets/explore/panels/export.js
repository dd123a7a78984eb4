// -- the whole model as a file to take along

const takers = [...pad.querySelectorAll('[data-panel="export"] button')];

async function take(format) {
  const tell = (sentence) => { $('.export-says').textContent = sentence; };
  for (const button of takers) button.disabled = true;
  tell(say('export.making'));
  try {
    const answer = await server.export_file({ checkpoint: about.name, format, names: own().names });
    tell('');
    if (answer.error) return complain(answer.error);
    const bytes = Uint8Array.from(atob(answer.file), (c) => c.charCodeAt(0));
    const href = URL.createObjectURL(new Blob([bytes]));
    make('a', { href, download: answer.name }).click();
    setTimeout(() => URL.revokeObjectURL(href), 60000);
    tell(say('export.made', { name: answer.name, mb: (bytes.length / 1e6).toFixed(1) }));
  } catch { tell(''); complain(say('lost')); } finally { for (const button of takers) button.disabled = false; }
}

for (const button of takers) button.addEventListener('click', () => take(button.dataset.format));
panels.push({ id: 'export', word: 'export', fits: () => about.kind === 'image', opened: () => { $('.export-says').textContent = ''; } });
