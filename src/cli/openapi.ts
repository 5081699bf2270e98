import { stringify } from 'yaml'
import { openapiDocument } from '../http/openapi.ts'
import { EXIT, type Io } from './io.ts'

/** Prints the API's description, made from the schemas of the routes: the file `openapi.yaml` at the root. */
export async function openapi(options: { readonly json?: boolean }, io: Io): Promise<number> {
  const document = await openapiDocument()
  io.stdout.write(
    options.json === true
      ? `${JSON.stringify(document, null, 2)}\n`
      : // Without anchors: the document repeats schemas, and not every reader of OpenAPI follows YAML's aliases.
        // Without folding: a change of one word is a change of one line.
        stringify(document, { aliasDuplicateObjects: false, lineWidth: 0 }),
  )
  return EXIT.ok
}
