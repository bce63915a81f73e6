// What a test can do with a page, whichever engine shows it.

export interface Page {
  /** Goes to an address; resolves when the page has loaded. */
  goto(url: string): Promise<void>
  /** One step back in the history; resolves when that page is shown, from the back/forward cache or anew. */
  back(): Promise<void>
  /**
   * Runs a function in the page and waits for its promise; arguments and result travel as JSON. The function is sent
   * as its source: it sees the page's globals and nothing of the test file. A string is taken as an expression.
   */
  evaluate<Result, Arguments extends readonly unknown[]>(
    code: ((...args: Arguments) => Result | PromiseLike<Result>) | string,
    ...args: Arguments
  ): Promise<Result>
  /** Puts the page into the background, as another tab in front of it does: it is hidden, its timers throttled. */
  hide(): Promise<void>
  show(): Promise<void>
  screenshot(path: string): Promise<void>
  close(): Promise<void>
  /** Cuts the page off the network, or restores it. Not in WebKit. */
  offline?(on: boolean): Promise<void>
  /** Chromium's own: a command of the DevTools protocol, as in `cdp('Page.setWebLifecycleState', { state: 'frozen' })`. */
  cdp?(method: string, parameters?: object): Promise<unknown>
}

export interface Engine {
  readonly name: 'chromium' | 'firefox' | 'webkit'
  readonly version: string
  /**
   * Opens a new tab, or a window, which hides no other. All of an engine share one profile, and so shared workers and
   * the like.
   */
  open(url?: string, type?: 'tab' | 'window'): Promise<Page>
  close(): Promise<void>
  /** SIGKILL of the browser. Only of one with a profile of its own. */
  kill?(): Promise<void>
}

type Code = ((...args: never[]) => unknown) | string

/** The source of an expression that runs `code` in a page: a promise of JSON, which `outcome` reads. */
export function script(code: Code, args: readonly unknown[]): string {
  const call = typeof code === 'string' ? code : `(${code})(...${JSON.stringify(args)})`
  return `(async () => {
    try {
      return JSON.stringify({ value: await (${call}) })
    } catch (error) {
      return JSON.stringify({ error: error instanceof Error ? error + '\\n' + error.stack : String(error) })
    }
  })()`
}

/** The result of a `script`; throws what the page threw. */
export function outcome<Result>(json: unknown): Result {
  const { value, error } = JSON.parse(String(json)) as { value: Result; error?: string }
  if (error !== undefined) throw new Error(`in the page: ${error}`)
  return value
}
