import { internalsOf } from './internals.js'

/** Whether the platform's `dispatchEvent()` calls the `on…` attributes itself: workerd does, and happy-dom up to 20.0. */
let isCalledByPlatform: boolean | undefined

const checkPlatform = () => {
  let isCalled = false
  const target = Object.defineProperty(new EventTarget(), 'onopen', {
    get() {
      isCalled = true
    },
  })
  target.dispatchEvent(new Event('open'))
  return isCalled
}

/** Calls the `on…` attribute for an event. */
// https://html.spec.whatwg.org/multipage/webappapis.html#the-event-handler-processing-algorithm
export const callHandler = (target: EventTarget, event: Event): void => {
  const handler = internalsOf(target).handlers[event.type]
  isCalledByPlatform ??= checkPlatform()
  if (!isCalledByPlatform && typeof handler === 'function' && handler.call(target, event) === false) {
    event.preventDefault()
  }
}

/** The `on…` attribute for an event type. */
// https://html.spec.whatwg.org/multipage/webappapis.html#event-handler-idl-attributes
export const handlerAttribute = (type: string): PropertyDescriptorMap =>
  Object.getOwnPropertyDescriptors({
    get [`on${type}`](): unknown {
      return internalsOf(this).handlers[type] ?? null
    },
    set [`on${type}`](value: unknown) {
      const internals = internalsOf(this)
      const target = this as unknown as EventTarget
      // https://webidl.spec.whatwg.org/#LegacyTreatNonObjectAsNull
      const handler = Object(value) === value ? value : null
      internals.handlers[type] = handler
      if (handler) target.addEventListener(type, internals)
      else target.removeEventListener(type, internals)
    },
  })
