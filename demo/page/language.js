// Under `LANG=C` WebKitGTK may call its language "c": none that `Intl` knows, so uPlot would not start.
try {
  new Intl.NumberFormat(navigator.language)
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en' })
}
