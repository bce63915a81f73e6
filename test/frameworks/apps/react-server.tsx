/** @jsxImportSource react */
import { renderToString } from 'react-dom/server'
import type { AppProps } from './contract.ts'
import { Main } from './react.tsx'

export const render = (props: AppProps) => renderToString(<Main {...props} />)
