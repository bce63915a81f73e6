// Helpers for the page. Data from the network is only ever inserted as text.

/** The elements of the page by id. */
export const page = Object.fromEntries([...document.querySelectorAll('[id]')].map(one => [one.id, one]))

/** Writes text only if it has changed: otherwise, a screen reader would repeat it, and a selection in it would be lost. */
export const write = (element, text) => {
  if (element.textContent !== String(text)) element.textContent = text
}

export const make = (tag, className, ...content) => {
  const element = document.createElement(tag)
  if (className) element.className = className
  element.append(...content) // strings become text nodes, never markup
  return element
}

export const button = (className, text, onclick) => {
  const element = make('button', className, text)
  element.type = 'button'
  element.onclick = onclick
  return element
}

const svg = 'http://www.w3.org/2000/svg'

export const draw = (tag, attributes, ...content) => {
  const element = document.createElementNS(svg, tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...content)
  return element
}

/** One of the icons of the page; a category that the page does not know looks like a message. */
export const icon = name => {
  const known = document.getElementById(`icon-${name}`) ? name : 'message'
  const image = draw('svg', { class: 'icon', 'aria-hidden': 'true' }, draw('use', { href: `#icon-${known}` }))
  image.dataset.category = known
  return image
}

/** Puts an item at the top of a list and forgets the oldest ones beyond `limit`. */
export const prepend = (list, item, limit) => {
  list.prepend(item)
  while (list.childElementCount > limit) list.lastElementChild.remove()
}

export const time = at => {
  const element = make('time', '', new Date(at).toLocaleTimeString('en-GB'))
  element.dateTime = new Date(at).toISOString()
  return element
}

export const seconds = ms => (ms === Infinity ? 'until the page wakes up' : `${(ms / 1000).toFixed(1)} s`)
export const duration = ms => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`)

/** Returns a `ws:` or `wss:` URL. Some browsers that are supported do not accept relative and http(s) URLs. */
export const address = path => {
  const url = new URL(path, location.href)
  url.protocol = url.protocol.replace('http', 'ws')
  return url
}

/** The id of a stream, for the server. */
export const newId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(9)), byte => byte.toString(36).padStart(2, '0')).join('')

/** A colour of the style sheet, for use on a canvas. It depends on light or dark mode. */
export const colour = name => getComputedStyle(document.body).getPropertyValue(`--${name}`).trim()

/** Adapts a canvas to the resolution of the screen. Returns its context, whose unit is the CSS pixel, and its size. */
export const sharpen = canvas => {
  const { clientWidth: width, clientHeight: height } = canvas
  const scale = devicePixelRatio || 1
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale)
    canvas.height = Math.round(height * scale)
  }
  const context = canvas.getContext('2d')
  context.setTransform(scale, 0, 0, scale, 0, 0)
  context.clearRect(0, 0, width, height)
  return { context, width, height }
}

const quiet = 5_000
let last = -quiet
let next
/** Announces a text to screen readers, at most once every five seconds. Of several texts, the last one is announced. */
export const announce = text => {
  clearTimeout(next)
  next = setTimeout(
    () => {
      last = performance.now()
      page.announcer.textContent = text
    },
    Math.max(0, last + quiet - performance.now()),
  )
}

const soon = 1_000
const newsEvery = 10_000
/** Returns a function that announces news to screen readers: after a second, and then at most once every ten seconds, in one sentence. */
export const createNews = () => {
  let waiting = 0
  let latest
  let told = -newsEvery
  const tell = () => {
    told = performance.now()
    write(page.news, waiting === 1 ? `New: ${latest}` : `${waiting} new notifications. The latest: ${latest}`)
    waiting = 0
  }
  return title => {
    latest = title
    if (waiting++) return
    setTimeout(tell, Math.max(soon, told + newsEvery - performance.now()))
  }
}
