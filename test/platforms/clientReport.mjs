/** Prints what trecvit/client answers in this runtime as one line of JSON (see client.mjs). */
import * as library from '../../dist/client/index.js'
import { clientAnswers } from './clientAnswers.mjs'

const { SERVER, TOKEN, RUNTIME } = process.env
console.log(`answers ${JSON.stringify(await clientAnswers(library, SERVER, TOKEN, RUNTIME))}`)
process.exit()
