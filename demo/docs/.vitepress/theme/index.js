import { withBase } from 'vitepress'
import DefaultTheme from 'vitepress/theme'
import { h } from 'vue'
import './style.css'

/** The page for unknown addresses. That of the default theme has no main landmark. */
const notFound = () =>
  h('main', { class: 'not-found' }, [
    h('h1', 'Page not found'),
    h('p', 'There is no page at this address.'),
    h('p', h('a', { href: withBase('/') }, 'Go to the overview')),
  ])

/** VitePress makes each heading of the sidebar a button, even if it has no action. */
const removeButtons = () => {
  for (const one of document.querySelectorAll('.VPSidebarItem.level-0:not(.collapsible) > .item')) {
    one.removeAttribute('role')
    one.removeAttribute('tabindex')
  }
}

export default {
  extends: DefaultTheme,
  Layout: () => h(DefaultTheme.Layout, null, { 'not-found': notFound }),
  enhanceApp({ router }) {
    if (!import.meta.env.SSR) router.onAfterRouteChange = () => setTimeout(removeButtons)
  },
}
