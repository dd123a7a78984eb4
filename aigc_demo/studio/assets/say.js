// A component's `words` in the visitor's script, with values put in as they are.
const lang = (() => {
  const own = (navigator.language || 'en').toLowerCase();
  return !own.startsWith('zh') ? 'en' : /tw|hk|mo|hant/.test(own) ? 'zh-Hant' : 'zh-Hans';
})();
const say = (key, values = {}) => {
  const word = words[key];
  let text = word ? word[lang] || word.en : key;
  for (const [name, value] of Object.entries(values)) text = text.replace(`{${name}}`, () => value);
  return text;
};
