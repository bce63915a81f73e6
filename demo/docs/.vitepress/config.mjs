import { join } from 'node:path'
import { read, repository, root, sidebar } from './pages.mjs'

/** The anchor of a heading, as GitHub makes it, so that the same links work there and here. */
const slugify = heading =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/ /g, '-')

/** The icon of the demo. */
const [, icon] = /href="(data:image\/svg[^"]*)"/.exec(read('demo/index.html'))

const { description, version } = JSON.parse(read('package.json'))

export default {
  title: 'SteadySocket',
  description,
  lang: 'en',
  // Both are set by build.mjs.
  srcDir: process.env.SITE_SOURCE,
  outDir: process.env.SITE_OUT,
  cacheDir: join(root, '.tmp/vitepress'),
  /** For a site that is not at the root of its host: `SITE_BASE=/steadysocket/ npm run site`. */
  base: process.env.SITE_BASE ?? '/',
  cleanUrls: false,
  head: [
    ['meta', { name: 'color-scheme', content: 'light dark' }],
    ['link', { rel: 'icon', href: icon }],
  ],
  markdown: {
    anchor: { slugify },
    // The colours of the default themes have too little contrast.
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-default' },
    config: markdown => {
      // An empty header cell must not be a `th`, because it is the header of nothing.
      markdown.core.ruler.push('empty_headings', ({ tokens }) => {
        tokens.forEach(({ type }, at) => {
          if (type !== 'th_open' || tokens[at + 1].content) return
          tokens[at].tag = 'td'
          tokens[at + 2].tag = 'td'
        })
      })
      // Vue would evaluate the braces of templates in the text.
      markdown.renderer.rules.code_inline = (tokens, at) =>
        `<code v-pre>${markdown.utils.escapeHtml(tokens[at].content)}</code>`
    },
  },
  themeConfig: {
    nav: [
      { text: 'Guides', link: '/guides/' },
      { text: 'API', link: '/api/' },
      { text: 'Comparison', link: '/comparison' },
      { text: 'Measurements', link: '/measurements/' },
      { text: version, link: '/changelog' },
    ],
    sidebar,
    outline: { level: [2, 3] },
    search: {
      provider: 'local',
      options: {
        // Text to search for needs no colours, and the numbers in charts are no such text.
        _render: (text, env, markdown) =>
          markdown
            .set({ highlight: null })
            .render(text.replace(/<figure class="chart".*?<\/figure>/gs, ''), env),
      },
    },
    ...(repository && { socialLinks: [{ icon: 'github', link: repository }] }),
    footer: { message: 'MIT licence' },
  },
  transformPageData: ({ relativePath, frontmatter }) => {
    // Their tables need the width of the outline.
    if (/^(comparison|measurements|guides\/migrate)/.test(relativePath)) {
      frontmatter.aside = false
      frontmatter.pageClass = 'wide'
    }
  },
}
