// On a phone, most cards are collapsed to their heading until they are opened. On a wider screen, the style sheet shows all of them.
import { button } from './dom.js'

export const foldCards = () => {
  for (const card of document.querySelectorAll('[data-fold]')) {
    const title = card.querySelector('h2')
    const unfold = button('unfold', '', () => {
      const isFolded = card.classList.toggle('folded')
      unfold.setAttribute('aria-expanded', !isFolded)
    })
    unfold.setAttribute('aria-expanded', false)
    unfold.setAttribute('aria-labelledby', title.id)
    card.classList.add('folded')
    title.after(unfold)
  }
}
