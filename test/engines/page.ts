// The interface of pages and engines, which is the same for all engines.

export interface Page {
  /** Navigates to a URL. Resolves when the page has loaded. */
  goto(url: string): Promise<void>
  /** Goes back in the history. Resolves when the page is shown, restored from the back/forward cache or loaded again. */
  back(): Promise<void>
  /**
   * Runs a function in the page and waits for its promise. Arguments and result are serialized as JSON. The function is serialized as source
   * code, so it can use the page's globals, but nothing from the test file. A string is evaluated as an expression.
   */
  evaluate<Result, Arguments extends readonly unknown[]>(
    code: ((...args: Arguments) => Result | PromiseLike<Result>) | string,
    ...args: Arguments
  ): Promise<Result>
  /** Puts the page into the background, as another tab does: the page is hidden, and its timers are throttled. */
  hide(): Promise<void>
  show(): Promise<void>
  screenshot(path: string): Promise<void>
  close(): Promise<void>
  /** Emulates being offline, or stops it. Not in WebKit. */
  offline?(on: boolean): Promise<void>
  /** In Chromium only: sends a command of the DevTools protocol, for example `cdp('Page.setWebLifecycleState', { state: 'frozen' })`. */
  cdp?(method: string, parameters?: object): Promise<unknown>
}

export interface Engine {
  readonly name: 'chromium' | 'firefox' | 'webkit'
  readonly version: string
  /**
   * Opens a new tab, or a window, which does not hide other pages. All pages of an engine share one profile, and therefore shared workers and
   * storage.
   */
  open(url?: string, type?: 'tab' | 'window'): Promise<Page>
  close(): Promise<void>
  /** Kills the browser with SIGKILL. Only if it was launched with its own profile. */
  kill?(): Promise<void>
}

type Code = ((...args: never[]) => unknown) | string

/** Returns the source of an expression that runs `code` in a page. It evaluates to a promise of JSON, which `outcome` parses. */
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

/** Returns the result of a `script`. Throws if the code threw in the page. */
export function outcome<Result>(json: unknown): Result {
  const { value, error } = JSON.parse(String(json)) as { value: Result; error?: string }
  if (error !== undefined) throw new Error(`in the page: ${error}`)
  return value
}
