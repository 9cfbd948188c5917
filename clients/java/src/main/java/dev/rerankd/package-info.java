/**
 * Client of the rerank service: {@link dev.rerankd.RerankClient} over the generated stubs of {@code dev.rerankd.v1}.
 */
package dev.rerankd;
