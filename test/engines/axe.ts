// Checks accessibility with axe-core.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Page } from './page.ts'

const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** The name of a rule, and the elements that violate it. */
export type Finding = [rule: string, elements: string[]]

/** Injects axe-core with the driver of the engine, because the policy of a page may forbid foreign scripts. */
export const loadAxe = (page: Page): Promise<void> => page.evaluate(`(() => { ${source} })()`)

/** Sets the colour scheme. Disables motion, because elements that fade in have too little contrast meanwhile. */
export const setColours = async (page: Page, value: 'light' | 'dark'): Promise<void> => {
  const still = { name: 'prefers-reduced-motion', value: 'reduce' }
  const features = [{ name: 'prefers-color-scheme', value }, still]
  await page.cdp?.('Emulation.setEmulatedMedia', { features })
}

/** Returns the violations of a page into which axe-core has been injected. */
export const findings = (page: Page): Promise<Finding[]> =>
  page.evaluate(
    `axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]))`,
  )

/**
 * Returns the violations of the pages at these paths of a site built with VitePress. `page` shows one of them. The contents of the others are
 * inserted into it, because loading each page would take far longer. Colours are checked once for each kind of element, in light and dark mode.
 */
export const findingsOnPages = (page: Page, paths: string[]): Promise<[path: string, ...Finding][]> =>
  page.evaluate(async (paths: string[]) => {
    const { axe } = window as any
    const found: [string, string, string[]][] = []
    const still = document.createElement('style')
    still.textContent = '* { transition: none !important; animation: none !important }'
    document.head.append(still)

    /** Elements of the same kind have the same colours. */
    const kindOf = (element: Element) => {
      const names: string[] = []
      for (let one: Element | null = element; one; one = one.parentElement) {
        const isEven = one.matches('tr:nth-child(2n)') ? 'even' : ''
        names.push([one.tagName, [...one.classList].sort(), one.getAttribute('style'), isEven].join())
      }
      return names.join('>')
    }
    const kinds = new Set<string>()
    const newKinds = (selector: string) =>
      [...document.querySelectorAll(selector)].filter(element => {
        const hasText = [...element.childNodes].some(
          ({ nodeType, nodeValue }) => nodeType === Node.TEXT_NODE && nodeValue?.trim(),
        )
        const kind = hasText && kindOf(element)
        return kind && !kinds.has(kind) && kinds.add(kind)
      })

    const colours = ['color-contrast', 'link-in-text-block']
    const rules = Object.fromEntries(colours.map(id => [id, { enabled: false }]))
    const resultTypes = ['violations']
    const app = document.getElementById('app') as HTMLElement
    const check = async (path: string, isFirst: boolean) => {
      const add = ({ violations }: any) => {
        for (const { id, nodes } of violations) found.push([path, id, nodes.map(({ html }: any) => html)])
      }
      // The navigation is the same on all pages.
      const navigation = '.VPNav, .VPLocalNav, .VPSidebar'
      if (!isFirst) for (const one of document.querySelectorAll(navigation)) one.remove()
      const include = newKinds('#app *')
      for (const isDark of include.length ? [false, true] : []) {
        document.documentElement.classList.toggle('dark', isDark)
        add(await axe.run({ include }, { runOnly: colours, resultTypes }))
      }
      // The parts of a line of code differ only in their colours.
      for (const code of document.querySelectorAll('pre code')) code.replaceChildren(code.textContent ?? '')
      add(await axe.run({ rules, resultTypes }))
    }

    await check(location.pathname, true)
    for (const path of paths) {
      const text = await (await fetch(path)).text()
      const other = new DOMParser().parseFromString(text, 'text/html')
      document.title = other.title
      app.innerHTML = other.getElementById('app')?.innerHTML ?? ''
      await check(path, false)
    }
    return found
  }, paths)
