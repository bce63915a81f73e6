// With `LANG=C`, the language of WebKitGTK may be "c", which `Intl` does not support, so uPlot would not start.
try {
  new Intl.NumberFormat(navigator.language)
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en' })
}
