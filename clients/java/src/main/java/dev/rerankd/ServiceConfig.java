package dev.rerankd;

import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/** The policy of all clients: balancing, health checks and retries. */
final class ServiceConfig {
  static final int DEFAULT_ATTEMPTS = 4;

  private ServiceConfig() {}

  /** Returns the policy with another number of attempts, and with or without health checks. */
  static Map<String, Object> of(int attempts, boolean checksHealth) {
    Map<String, Object> policy = read();
    if (!checksHealth) {
      policy.remove("healthCheckConfig");
    }
    if (attempts == 1) {
      policy.remove("methodConfig");
      policy.remove("retryThrottling");
    } else {
      for (Map<String, Object> method : objects(policy.get("methodConfig"))) {
        object(method.get("retryPolicy")).put("maxAttempts", (double) attempts);
      }
    }
    return policy;
  }

  private static Map<String, Object> read() {
    try (InputStream stream = ServiceConfig.class.getResourceAsStream("service_config.json");
        Reader reader = new InputStreamReader(stream, StandardCharsets.UTF_8)) {
      return new Gson().fromJson(reader, new TypeToken<Map<String, Object>>() {}.getType());
    } catch (IOException cause) {
      throw new UncheckedIOException(cause);
    }
  }

  @SuppressWarnings("unchecked") // it is JSON
  private static List<Map<String, Object>> objects(Object value) {
    return (List<Map<String, Object>>) value;
  }

  @SuppressWarnings("unchecked") // it is JSON
  private static Map<String, Object> object(Object value) {
    return (Map<String, Object>) value;
  }
}
