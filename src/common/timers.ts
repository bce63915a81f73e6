/** The longest delay that `setTimeout` supports. With a longer one it fires at once. */
// https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#timer-initialisation-steps (a signed 32-bit number)
const MAX_DELAY = 2 ** 31 - 1

/** Calls `job` after `delay` milliseconds; `Infinity` means never. Without arguments, it only stops the running timer. */
export type SetTimer = (delay?: number, job?: () => void) => void

/** Creates a timer for delays of any length. Setting it again replaces the running timer. */
export const createTimer = (): SetTimer => {
  let id: ReturnType<typeof setTimeout> | undefined
  const setTimer: SetTimer = (delay = Infinity, job) => {
    clearTimeout(id)
    if (delay === Infinity) return
    if (delay > MAX_DELAY) id = setTimeout(setTimer, MAX_DELAY, delay - MAX_DELAY, job)
    else id = setTimeout(job as () => void, delay)
  }
  return setTimer
}
