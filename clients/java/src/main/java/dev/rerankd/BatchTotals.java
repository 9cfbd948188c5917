package dev.rerankd;

import dev.rerankd.v1.Usage;
import java.time.Duration;

/**
 * The totals of a batch.
 *
 * @param itemsReceived the items that the server has read
 * @param itemsSucceeded the items answered
 * @param itemsFailed the items answered with a failure
 * @param usage what all items consumed
 * @param latency the time from first item to last answer
 * @param resumes how often the stream broke and another one took over its unanswered items
 */
public record BatchTotals(
    int itemsReceived, int itemsSucceeded, int itemsFailed, Usage usage, Duration latency, int resumes) {
  static final BatchTotals NONE = new BatchTotals(0, 0, 0, Usage.getDefaultInstance(), Duration.ZERO, 0);

  /** Returns the sum with some items and what they used. */
  BatchTotals plus(int received, int succeeded, int failed, Usage used) {
    return new BatchTotals(
        itemsReceived + received, itemsSucceeded + succeeded, itemsFailed + failed, sum(usage, used), latency, resumes);
  }

  BatchTotals took(Duration latency, int resumes) {
    return new BatchTotals(itemsReceived, itemsSucceeded, itemsFailed, usage, latency, resumes);
  }

  /** Adds usages; a cost that only one of them knows counts. */
  private static Usage sum(Usage one, Usage other) {
    Usage.Builder sum =
        Usage.newBuilder()
            .setDocuments(one.getDocuments() + other.getDocuments())
            .setPromptTokens(one.getPromptTokens() + other.getPromptTokens())
            .setCompletionTokens(one.getCompletionTokens() + other.getCompletionTokens())
            .setTotalTokens(one.getTotalTokens() + other.getTotalTokens())
            .setSearchUnits(one.getSearchUnits() + other.getSearchUnits())
            .setCachedDocuments(one.getCachedDocuments() + other.getCachedDocuments());
    if (one.hasCost() || other.hasCost()) {
      sum.setCost(one.getCost() + other.getCost());
    }
    if (one.hasSavedCost() || other.hasSavedCost()) {
      sum.setSavedCost(one.getSavedCost() + other.getSavedCost());
    }
    return sum.build();
  }
}
