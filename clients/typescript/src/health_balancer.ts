/**
 * Round robin over the servers that say they are serving.
 *
 * grpc-js reads no `healthCheckConfig`. This policy does what gRPC's proposal A17 says: it watches the health service of
 * each server it is connected to, and leaves out those that are not serving. Servers without that service are called.
 */

import { Client, connectivityState, credentials, experimental, Metadata, status } from "@grpc/grpc-js";
import type { ClientReadableStream } from "@grpc/grpc-js";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

import {
  type HealthCheckResponse,
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from "./gen/grpc/health/v1/health_pb.js";

/** Name of the policy in a service config; its member `serviceName` is what health is asked about. */
export const HEALTHY_ROUND_ROBIN = "rerankd_healthy_round_robin";

const WATCH_AGAIN_MS = 1000;

class Config implements experimental.TypedLoadBalancingConfig {
  constructor(readonly serviceName: string) {}

  getLoadBalancerName(): string {
    return HEALTHY_ROUND_ROBIN;
  }

  toJsonObject(): object {
    return { [HEALTHY_ROUND_ROBIN]: { serviceName: this.serviceName } };
  }

  static createFromJson(value: { serviceName?: unknown }): Config {
    return new Config(String(value.serviceName ?? ""));
  }
}

/** A connection that is ready only once its server has said whether it is serving, and healthy while it is. */
class WatchedSubchannel extends experimental.BaseSubchannelWrapper {
  readonly #service: string;
  readonly #listeners = new Set<experimental.ConnectivityStateListener>();
  #isKnown = false;
  #keepalive = 0;
  #watch: ClientReadableStream<HealthCheckResponse> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(child: experimental.SubchannelInterface, service: string) {
    super(child);
    this.#service = service;
    child.addConnectivityStateListener(this.#onState);
    if (child.getConnectivityState() === connectivityState.READY) {
      this.#startWatch();
    }
  }

  override getConnectivityState(): connectivityState {
    return this.#seen(this.child.getConnectivityState());
  }

  override addConnectivityStateListener(listener: experimental.ConnectivityStateListener): void {
    this.#listeners.add(listener);
  }

  override removeConnectivityStateListener(listener: experimental.ConnectivityStateListener): void {
    this.#listeners.delete(listener);
  }

  protected override destroy(): void {
    this.child.removeConnectivityStateListener(this.#onState);
    this.#endWatch();
    super.destroy();
  }

  #onState: experimental.ConnectivityStateListener = (_, before, now, keepalive, error) => {
    const seenBefore = this.#seen(before);
    this.#keepalive = keepalive;
    this.#endWatch();
    this.#isKnown = false;
    if (now === connectivityState.READY) {
      this.#startWatch();
    }
    this.#tell(seenBefore, this.#seen(now), error);
  };

  #seen(state: connectivityState): connectivityState {
    return state === connectivityState.READY && !this.#isKnown ? connectivityState.CONNECTING : state;
  }

  #tell(before: connectivityState, now: connectivityState, error?: string): void {
    if (before !== now) {
      for (const listener of [...this.#listeners]) {
        listener(this, before, now, this.#keepalive, error);
      }
    }
  }

  #startWatch(): void {
    const client = new Client(this.getAddress(), credentials.createInsecure(), {
      channelOverride: this.child.getChannel(),
    });
    const watch = client.makeServerStreamRequest(
      "/grpc.health.v1.Health/Watch",
      (request) => Buffer.from(toBinary(HealthCheckRequestSchema, request)),
      (bytes) => fromBinary(HealthCheckResponseSchema, bytes),
      create(HealthCheckRequestSchema, { service: this.#service }),
      new Metadata(),
    );
    this.#watch = watch;
    watch.on("data", (response: HealthCheckResponse) => {
      if (this.#watch === watch) {
        this.#learn(response.status === HealthCheckResponse_ServingStatus.SERVING);
      }
    });
    // An error is followed by the status, which says the same.
    watch.on("error", () => {});
    watch.on("status", ({ code }) => {
      if (this.#watch === watch) {
        this.#watch = undefined;
        this.#learn(code === status.UNIMPLEMENTED);
        if (code !== status.UNIMPLEMENTED) {
          this.#timer = setTimeout(() => this.#startWatch(), WATCH_AGAIN_MS);
          this.#timer.unref();
        }
      }
    });
  }

  #endWatch(): void {
    clearTimeout(this.#timer);
    const watch = this.#watch;
    this.#watch = undefined;
    watch?.cancel();
  }

  #learn(isServing: boolean): void {
    const before = this.getConnectivityState();
    this.setHealthy(isServing);
    this.#isKnown = true;
    this.#tell(before, this.getConnectivityState());
  }
}

class HealthyRoundRobin implements experimental.LoadBalancer {
  readonly #child: experimental.ChildLoadBalancerHandler;
  #service = "";

  constructor(helper: experimental.ChannelControlHelper) {
    this.#child = new experimental.ChildLoadBalancerHandler(
      experimental.createChildChannelControlHelper(helper, {
        createSubchannel: (address, options) =>
          new WatchedSubchannel(helper.createSubchannel(address, options), this.#service),
      }),
    );
  }

  updateAddressList(...[endpoints, config, options, note]: Parameters<experimental.LoadBalancer["updateAddressList"]>) {
    if (!(config instanceof Config)) {
      return false;
    }
    this.#service = config.serviceName;
    return this.#child.updateAddressList(endpoints, ROUND_ROBIN, options, note);
  }

  exitIdle(): void {
    this.#child.exitIdle();
  }

  resetBackoff(): void {
    this.#child.resetBackoff();
  }

  destroy(): void {
    this.#child.destroy();
  }

  getTypeName(): string {
    return HEALTHY_ROUND_ROBIN;
  }
}

const ROUND_ROBIN = experimental.parseLoadBalancingConfig({ round_robin: {} });

experimental.registerLoadBalancerType(HEALTHY_ROUND_ROBIN, HealthyRoundRobin, Config);
