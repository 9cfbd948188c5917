package dev.rerankd;

import dev.rerankd.v1.BatchProgress;
import dev.rerankd.v1.RerankRequest;
import java.time.Duration;
import java.util.function.Consumer;

/** Says how a batch is run; immutable, and each method returns a copy. */
public final class BatchSettings {
  /** Settings without any values of the caller's. */
  public static final BatchSettings DEFAULT =
      new BatchSettings(RerankRequest.getDefaultInstance(), false, 0, 8, Duration.ZERO, progress -> {});

  final RerankRequest defaults;
  final boolean isOrdered;
  final int maxConcurrency;
  final int maxResumes;
  final Duration timeout;
  final Consumer<BatchProgress> onProgress;

  private BatchSettings(
      RerankRequest defaults,
      boolean isOrdered,
      int maxConcurrency,
      int maxResumes,
      Duration timeout,
      Consumer<BatchProgress> onProgress) {
    this.defaults = defaults;
    this.isOrdered = isOrdered;
    this.maxConcurrency = maxConcurrency;
    this.maxResumes = maxResumes;
    this.timeout = timeout;
    this.onProgress = onProgress;
  }

  /**
   * Sets values for what items leave unset.
   *
   * @param defaults a request, without a query as a rule
   * @return the settings
   */
  public BatchSettings defaults(RerankRequest defaults) {
    return new BatchSettings(defaults, isOrdered, maxConcurrency, maxResumes, timeout, onProgress);
  }

  /**
   * Sets whether results come in the order of the items instead of as they finish. Default: as they finish.
   *
   * @param isOrdered whether they do
   * @return the settings
   */
  public BatchSettings ordered(boolean isOrdered) {
    return new BatchSettings(defaults, isOrdered, maxConcurrency, maxResumes, timeout, onProgress);
  }

  /**
   * Sets how many items are under way at once. Default: the server's own ceiling.
   *
   * @param maxConcurrency at least 1; 0: the default
   * @return the settings
   */
  public BatchSettings maxConcurrency(int maxConcurrency) {
    if (maxConcurrency < 0) {
      throw new IllegalArgumentException("the concurrency must not be negative, was " + maxConcurrency);
    }
    return new BatchSettings(defaults, isOrdered, maxConcurrency, maxResumes, timeout, onProgress);
  }

  /**
   * Sets how often an item may be sent again because its stream broke, and how many streams may break in a row without an
   * answer (two, before the first one). Default: 8.
   *
   * @param maxResumes the number; 0: the first break ends the batch
   * @return the settings
   */
  public BatchSettings maxResumes(int maxResumes) {
    if (maxResumes < 0) {
      throw new IllegalArgumentException("the number of resumes must not be negative, was " + maxResumes);
    }
    return new BatchSettings(defaults, isOrdered, maxConcurrency, maxResumes, timeout, onProgress);
  }

  /**
   * Sets the time that the batch as a whole may take. Default: none.
   *
   * @param timeout the time; zero: none
   * @return the settings
   */
  public BatchSettings timeout(Duration timeout) {
    return new BatchSettings(
        defaults, isOrdered, maxConcurrency, maxResumes, Builder.checked(timeout), onProgress);
  }

  /**
   * Sets what is told how far the batch is, after every 100 items, by the thread that iterates.
   *
   * @param onProgress is given the counts over all streams
   * @return the settings
   */
  public BatchSettings onProgress(Consumer<BatchProgress> onProgress) {
    return new BatchSettings(defaults, isOrdered, maxConcurrency, maxResumes, timeout, onProgress);
  }
}
