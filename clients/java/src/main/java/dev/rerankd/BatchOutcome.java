package dev.rerankd;

import dev.rerankd.v1.RerankResponse;
import java.util.Optional;

/**
 * The outcome of one item: a response or an error.
 *
 * @param itemId the item's name, as it went
 * @param itemIndex the zero-based position of the item in the source
 * @param response the answer; empty when the item failed
 * @param error why the item failed; empty when it did not
 */
public record BatchOutcome(
    String itemId, int itemIndex, Optional<RerankResponse> response, Optional<RerankException> error) {
  /**
   * Returns the answer, or throws why there is none.
   *
   * @return the answer
   * @throws RerankException the item failed
   */
  public RerankResponse get() {
    return response.orElseThrow(error::get);
  }
}
