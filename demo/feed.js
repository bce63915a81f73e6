// What the server pushes: notifications as text, pictures as binary.
import { make, prepend, time } from './layout.js'

const shownNotifications = 100
const shownPictures = 4

/** Returns a function that shows a notification. `note` says whether it is a message of this tab. */
export const showFeed = (page, note) => {
  // After a reconnection the server tells the recent history again: what is known is not shown twice.
  const known = new Set()
  const isKnown = id => {
    if (known.has(id)) return true
    known.add(id)
    if (known.size > 2 * shownNotifications) known.delete(known.values().next().value)
    return false
  }

  return notification => {
    const { id, at, category, title, body } = notification
    if (isKnown(id)) return
    const item = make(
      'li',
      note(notification) ? 'own' : '',
      make('span', 'category', category),
      make('b', '', title),
      time(at),
      make('p', '', body),
    )
    item.dataset.id = id
    prepend(page.feed, item, shownNotifications)
  }
}

const pictureType = ([first, second]) => {
  if (first === 0x89 && second === 0x50) return 'image/png'
  if (first === 0xff && second === 0xd8) return 'image/jpeg'
  if (first === 0x47 && second === 0x49) return 'image/gif'
}

/** Returns a function that shows an `ArrayBuffer` if it is a picture, and says whether it is one. */
export const showPictures = page => {
  let last = new Uint8Array()
  const isKnown = bytes => bytes.length === last.length && bytes.every((byte, at) => byte === last[at])

  return buffer => {
    const bytes = new Uint8Array(buffer)
    const type = pictureType(bytes)
    if (!type || isKnown(bytes)) return Boolean(type)
    last = bytes

    const image = make('img')
    image.src = URL.createObjectURL(new Blob([buffer], { type }))
    image.alt = `Picture of ${bytes.length} bytes, pushed by the server`
    image.width = 240
    image.height = 120
    const caption = make('figcaption', '', time(Date.now()), ` ${bytes.length} bytes`)
    page.pictures.prepend(make('figure', '', image, caption))
    while (page.pictures.childElementCount > shownPictures) {
      const oldest = page.pictures.lastElementChild
      URL.revokeObjectURL(oldest.querySelector('img').src)
      oldest.remove()
    }
    return true
  }
}
