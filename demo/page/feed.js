// What the server pushes: notifications as text, and pictures as binary data. Counts unread ones in the title and the icon.
import { button, createNews, icon, make, page, prepend, time, write } from './dom.js'

const shown = 60
const toastFor = 6_000

const title = document.title

const badge = count => {
  const label = count > 99 ? '99+' : count
  const mark = count
    ? `<circle cx="22" cy="10" r="10" fill="#d3302f"/><text x="22" y="14.5" text-anchor="middle" font-family="sans-serif" font-weight="700" font-size="${count > 99 ? 9 : 13}" fill="#fff">${label}</text>`
    : ''
  return `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#0b6bcb"/><path d="M4 17h6l4-8 5 15 4-7h5" fill="none" stroke="#fff" stroke-width="3.2" stroke-linecap="round" stroke-linejoin="round"/>${mark}</svg>`)}`
}

/** Shows the feed of a socket. `isOwn` says whether a notification is a message of this tab. */
export const createFeed = ({ sender, isOwn, acknowledge, claim }) => {
  // After a reconnection, the server sends the recent notifications again. Those that are already known are not shown again.
  const known = new Map()
  const unread = new Set()
  const announceNews = createNews()
  let isHistory = true
  let toastTimer

  const isInView = () => {
    const { top, bottom } = page['feed-scroll'].getBoundingClientRect()
    return top < innerHeight && bottom > 0
  }

  let counted
  const count = () => {
    for (const id of unread) if (!known.has(id)) unread.delete(id)
    if (counted === unread.size) return
    counted = unread.size
    write(page.unread, counted)
    page.unread.toggleAttribute('data-none', !counted)
    document.title = counted ? `(${counted}) ${title}` : title
    page.icon.href = badge(counted)
  }

  const read = id => {
    if (!unread.delete(id)) return
    known.get(id)?.item.classList.remove('unread')
    count()
    acknowledge(id, sender)
  }

  const see = ({ id, count }) => {
    const entry = known.get(id)
    if (entry) write(entry.seen, count ? `seen by ${count}` : '')
  }

  /** One at a time, and only while the list itself is out of view. */
  const toast = ({ id, category, title, body }) => {
    const words = make('a', '', make('b', '', title), make('span', '', body))
    words.href = '#feed-title'
    const item = make('div', 'toast', icon(category), words)
    const leave = () => item.remove()
    const done = button('small', 'Got it', () => {
      read(id)
      leave()
    })
    item.append(done)
    page.toasts.replaceChildren(item)
    clearTimeout(toastTimer)
    // Does not disappear while it is hovered or focused.
    const tryLeave = () => {
      if (item.matches(':hover, :focus-within')) toastTimer = setTimeout(tryLeave, 1000)
      else leave()
    }
    toastTimer = setTimeout(tryLeave, toastFor)
  }

  const tellSystem = async ({ id, title, body }) => {
    if (!document.hidden || !page.system.classList.contains('on')) return
    // Only one of all hidden windows shows the notification.
    if (!(await claim(id))) return
    try {
      new Notification(title, { body, tag: id })
    } catch {} // Chromium on Android wants a service worker for this
  }

  const add = (id, item, seen) => {
    known.set(id, { item, seen })
    prepend(page.feed, item, shown)
    if (known.size > shown) known.delete(known.keys().next().value)
  }

  const show = notification => {
    const { id, at, category, title, body } = notification
    if (known.has(id)) return
    const own = isOwn(notification)
    const seen = make('span', 'seen')
    const mark = button('mark', '✓', () => read(id))
    mark.setAttribute('aria-label', `Mark “${title}” as read`)
    const item = make(
      'li',
      own ? 'own' : '',
      icon(category),
      make(
        'div',
        '',
        make('p', 'meta', make('span', '', category), time(at), seen),
        make('b', '', title),
        make('p', '', body),
      ),
      mark,
    )
    item.dataset.id = id
    add(id, item, seen)
    see({ id, count: notification.seen })
    if (own || isHistory) return count()
    unread.add(id)
    item.classList.add('unread')
    count()
    if (!isInView()) toast(notification)
    tellSystem(notification)
    announceNews(title)
  }

  page['read-all'].onclick = () => {
    for (const id of [...unread]) read(id)
  }

  if ('Notification' in window && isSecureContext) {
    page.system.onclick = async () => {
      const isOn = page.system.classList.contains('on')
      const answer = isOn ? 'off' : await Notification.requestPermission()
      page.system.classList.toggle('on', answer === 'granted')
      page.system.setAttribute('aria-pressed', answer === 'granted')
      const words = {
        granted: 'You will get system notifications while this page is hidden.',
        denied: 'This browser blocks notifications from this page.',
      }
      write(page.answer, words[answer] ?? 'System notifications are off.')
    }
  } else page.system.hidden = true

  return {
    show,
    see,
    /** The history is complete: notifications from now on are new. */
    live() {
      isHistory = false
    },
    addPicture(id, item) {
      add(id, item, make('span'))
    },
  }
}

const pictureType = ([first, second]) => {
  if (first === 0x89 && second === 0x50) return 'image/png'
  if (first === 0xff && second === 0xd8) return 'image/jpeg'
  if (first === 0x47 && second === 0x49) return 'image/gif'
}

/** Returns a function that shows an `ArrayBuffer` as a picture in the feed. */
export const showPictures = feed => {
  let last = new Uint8Array()
  let n = 0
  const urls = []

  return buffer => {
    const bytes = new Uint8Array(buffer)
    const type = pictureType(bytes)
    const isKnown = bytes.length === last.length && bytes.every((byte, at) => byte === last[at])
    if (!type || isKnown) return
    last = bytes

    const image = make('img')
    image.src = URL.createObjectURL(new Blob([buffer], { type }))
    image.alt = `Picture of ${bytes.length} bytes, sent as binary data`
    const words = make(
      'p',
      'meta',
      make('span', '', 'picture'),
      time(Date.now()),
      `${bytes.length} bytes, binary`,
    )
    const item = make('li', 'picture', icon('picture'), make('div', '', words, image))
    feed.addPicture(`picture ${++n}`, item)
    urls.push(image.src)
    if (urls.length > 16) URL.revokeObjectURL(urls.shift())
  }
}
