// Runs once for each part of the page, with its `element` and `trigger` (see Gradio's HTML component): a button sends
// what it says to the server; a picture opens large, and its path is copied, without asking the server.
const dialog = () => document.querySelector('#large dialog');
const pictures = () => [...document.querySelectorAll('#gallery .is-card:not([hidden]) a[data-open]')];

function show(link) {
  const box = dialog(), card = link.closest('.is-card'), rank = card?.dataset.rank;
  box.opened = link;
  const picture = box.querySelector('img');
  picture.src = link.href;
  picture.alt = link.dataset.name;
  box.querySelector('h2').textContent = rank ? `${rank}. ${link.dataset.name}` : link.dataset.name;
  box.querySelector('[data-download]').href = link.href + '?download=1';
  const copy = box.querySelector('[data-copy]');
  copy.textContent = copy.dataset.label;
  copy.dataset.copy = link.dataset.path;
  copy.hidden = !link.dataset.path;
  const bring = box.querySelector('[data-do=bring]');
  bring.dataset.name = link.dataset.name;
  bring.hidden = !card;
  box.querySelectorAll('[data-rate]').forEach(button => {
    button.hidden = !rank;
    button.dataset.say = `${button.dataset.rate} ${rank}`;
  });
  const all = pictures(), place = all.indexOf(link);
  box.querySelectorAll('[data-step]').forEach(button => {
    button.hidden = place < 0;
    button.disabled = !all[place + Number(button.dataset.step)];
  });
  if (!box.open) box.showModal();
}

function step(by) {
  const all = pictures(), next = all[all.indexOf(dialog().opened) + by];
  if (next) show(next);
}

async function copyPath(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {  // no clipboard at an address without TLS
    const field = document.createElement('textarea');
    field.value = button.dataset.copy;
    button.after(field);
    field.select();
    document.execCommand('copy');
    field.remove();
    button.focus();
  }
  button.textContent = 'Copied';
}

function showMore(button) {
  const rest = [...element.querySelectorAll('.is-card[hidden]')], size = Number(button.dataset.more);
  rest.slice(0, size).forEach(card => card.hidden = false);
  rest[0]?.querySelector('a, button')?.focus();
  if (rest.length <= size) button.remove();
}

function send(button) {
  trigger('click', {...button.dataset});
  if (dialog().open) dialog().close();
  if (button.dataset.do === 'bring') document.querySelector('#message textarea').focus();
  else document.querySelector('#progress').scrollIntoView({block: 'nearest'});
  if (button.dataset.say) window.scrollTo({top: 0});
}

element.addEventListener('click', event => {
  const pressed = event.target.closest('a[data-open], [data-say], [data-do], [data-step], [data-copy], [data-more], [data-close]');
  if (!pressed) {
    if (event.target === dialog()) dialog().close();  // beside the picture
    return;
  }
  const data = pressed.dataset;
  if ('open' in data) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;  // in a tab of its own
    event.preventDefault();
    show(pressed);
  } else if ('step' in data) step(Number(data.step));
  else if ('copy' in data) copyPath(pressed);
  else if ('more' in data) showMore(pressed);
  else if ('close' in data) dialog().close();
  else send(pressed);
});

element.addEventListener('keydown', event => {
  if (element.contains(dialog()) && dialog().open && ['ArrowLeft', 'ArrowRight'].includes(event.key))
    step(event.key === 'ArrowLeft' ? -1 : 1);
});
