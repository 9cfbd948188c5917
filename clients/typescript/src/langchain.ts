/** A document compressor of LangChain.js; needs `@langchain/core`. */

import type { Callbacks } from "@langchain/core/callbacks/manager";
import { Document, type DocumentInterface } from "@langchain/core/documents";
import { BaseDocumentCompressor } from "@langchain/core/retrievers/document_compressors";
import type { JsonObject } from "@bufbuild/protobuf";

import type { RerankResponse } from "./gen/rerank/v1/rerank_service_pb.js";
import type { RerankInput } from "./requests.js";

/** Name by which `rankFields` mean the document's text. */
export const CONTENT = "pageContent";

/** A client that reranks: `RerankClient` of this package or, in browsers, `RerankWebClient`. */
export interface Reranks {
  rerank(request: RerankInput): Promise<RerankResponse>;
}

/** How documents are compressed: a client, and all options of a rerank call. */
export type RerankdCompressorInput = Omit<RerankInput, "query" | "documents" | "returnDocuments"> & {
  /** Makes the calls, and is closed by its owner. */
  client: Reranks;
};

/**
 * Keeps the documents that are most relevant to the query, best first: `topN` of them, or all.
 *
 * What comes back are copies of the documents with `relevanceScore` in their metadata. `rankFields` names members of the
 * metadata that are scored, in this order; `pageContent` is the text. Without it the text is scored alone. A call that fails
 * rejects with a `RerankError`.
 */
export class RerankdCompressor extends BaseDocumentCompressor {
  readonly #client: Reranks;
  readonly #options: RerankInput;

  constructor({ client, ...options }: RerankdCompressorInput) {
    super();
    this.#client = client;
    this.#options = options;
  }

  override async compressDocuments(
    documents: DocumentInterface[],
    query: string,
    _callbacks?: Callbacks,
  ): Promise<DocumentInterface[]> {
    if (documents.length === 0) {
      return [];
    }
    const sent = documents.map((document) => this.#sent(document));
    const { results } = await this.#client.rerank({ ...this.#options, query, documents: sent });
    return results.map(({ index, relevanceScore }) => {
      const { pageContent, metadata, id } = documents[index]!;
      return new Document({ pageContent, metadata: { ...metadata, relevanceScore }, ...(id !== undefined && { id }) });
    });
  }

  #sent({ pageContent, metadata, id = "" }: DocumentInterface) {
    if (!this.#options.rankFields?.length) {
      return { text: pageContent, id };
    }
    const members: Record<string, unknown> = { ...metadata, [CONTENT]: pageContent };
    const named = this.#options.rankFields.filter((name) => members[name] !== undefined);
    const fields = Object.fromEntries(named.map((name) => [name, members[name]]));
    return { text: pageContent, id, fields: JSON.parse(JSON.stringify(fields)) as JsonObject };
  }
}
