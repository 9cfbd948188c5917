package dev.rerankd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SettingsTest {
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "localhost | localhost:50051",
        "localhost:1 | localhost:1",
        "::1 | [::1]:50051",
        "[::1] | [::1]:50051",
        "[::1]:1 | [::1]:1",
        "dns:///a:1 | dns:///a:1",
        "unix:/run/r.sock | unix:/run/r.sock",
        "ipv4:10.0.0.1:1,10.0.0.2:1 | ipv4:10.0.0.1:1,10.0.0.2:1",
      })
  void targetsGetAPort(String address, String target) {
    assertEquals(target, Target.resolve(address));
  }

  @ParameterizedTest
  @ValueSource(strings = {"http://localhost:8080", "", " "})
  void otherAddressesAreRefused(String address) {
    Builder builder = RerankClient.builder().target(address);
    assertThrows(IllegalArgumentException.class, builder::build);
  }

  @ParameterizedTest
  @CsvSource({"dns:///a:1, true", "ipv4:10.0.0.1:1, true", "ipv6:[::1]:1, true", "a:1, false", "unix:/r.sock, false"})
  void healthIsCheckedWhereTheClientBalances(String target, boolean isChecked) {
    assertEquals(isChecked, Target.checksHealth(target));
  }

  @Test
  void addressesOfListsAreLiterals() {
    assertEquals(new InetSocketAddress("10.0.0.1", 7), AddressList.parse("10.0.0.1:7"));
    assertEquals(new InetSocketAddress("::1", 7), AddressList.parse("[::1]:7"));
    for (String wrong : List.of("localhost:7", "10.0.0.1", "10.0.0.1:x", ":7", "::1")) {
      assertThrows(IllegalArgumentException.class, () -> AddressList.parse(wrong), wrong);
    }
  }

  @Test
  void thePolicyIsThatOfAllClients() {
    Map<String, Object> policy = ServiceConfig.of(4, true);
    assertEquals(Map.of("serviceName", "rerank.v1.RerankService"), policy.get("healthCheckConfig"));
    assertTrue(policy.toString().contains("maxAttempts=4.0"), policy.toString());
    assertTrue(ServiceConfig.of(2, true).toString().contains("maxAttempts=2.0"));
    assertFalse(ServiceConfig.of(2, false).containsKey("healthCheckConfig"));
    assertEquals(List.of("loadBalancingConfig"), List.copyOf(ServiceConfig.of(1, false).keySet()));
  }

  @Test
  void valuesThatCannotBeUsedAreRefused() {
    Builder builder = RerankClient.builder();
    assertThrows(IllegalArgumentException.class, () -> builder.maxAttempts(0));
    assertThrows(IllegalArgumentException.class, () -> builder.maxAttempts(6));
    assertThrows(IllegalArgumentException.class, () -> builder.timeout(Duration.ofSeconds(-1)));
    assertThrows(java.io.IOException.class, () -> builder.tls(Path.of("missing.pem")));
    assertThrows(IllegalArgumentException.class, () -> BatchSettings.DEFAULT.maxConcurrency(-1));
    assertThrows(IllegalArgumentException.class, () -> BatchSettings.DEFAULT.maxResumes(-1));
    assertThrows(IllegalArgumentException.class, () -> BatchSettings.DEFAULT.timeout(Duration.ofSeconds(-1)));
  }
}
