package dev.rerankd.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Orders documents by relevance with whichever model the operator has set up.
 * Every call honours the caller's deadline and cancellation. Failures carry `google.rpc` error details;
 * `ErrorReason` lists the reasons.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class RerankServiceGrpc {

  private RerankServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "rerank.v1.RerankService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<dev.rerankd.v1.RerankRequest,
      dev.rerankd.v1.RerankResponse> getRerankMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Rerank",
      requestType = dev.rerankd.v1.RerankRequest.class,
      responseType = dev.rerankd.v1.RerankResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.rerankd.v1.RerankRequest,
      dev.rerankd.v1.RerankResponse> getRerankMethod() {
    io.grpc.MethodDescriptor<dev.rerankd.v1.RerankRequest, dev.rerankd.v1.RerankResponse> getRerankMethod;
    if ((getRerankMethod = RerankServiceGrpc.getRerankMethod) == null) {
      synchronized (RerankServiceGrpc.class) {
        if ((getRerankMethod = RerankServiceGrpc.getRerankMethod) == null) {
          RerankServiceGrpc.getRerankMethod = getRerankMethod =
              io.grpc.MethodDescriptor.<dev.rerankd.v1.RerankRequest, dev.rerankd.v1.RerankResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Rerank"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.rerankd.v1.RerankRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.rerankd.v1.RerankResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RerankServiceMethodDescriptorSupplier("Rerank"))
              .build();
        }
      }
    }
    return getRerankMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.rerankd.v1.ListModelsRequest,
      dev.rerankd.v1.ListModelsResponse> getListModelsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListModels",
      requestType = dev.rerankd.v1.ListModelsRequest.class,
      responseType = dev.rerankd.v1.ListModelsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.rerankd.v1.ListModelsRequest,
      dev.rerankd.v1.ListModelsResponse> getListModelsMethod() {
    io.grpc.MethodDescriptor<dev.rerankd.v1.ListModelsRequest, dev.rerankd.v1.ListModelsResponse> getListModelsMethod;
    if ((getListModelsMethod = RerankServiceGrpc.getListModelsMethod) == null) {
      synchronized (RerankServiceGrpc.class) {
        if ((getListModelsMethod = RerankServiceGrpc.getListModelsMethod) == null) {
          RerankServiceGrpc.getListModelsMethod = getListModelsMethod =
              io.grpc.MethodDescriptor.<dev.rerankd.v1.ListModelsRequest, dev.rerankd.v1.ListModelsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListModels"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.rerankd.v1.ListModelsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.rerankd.v1.ListModelsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RerankServiceMethodDescriptorSupplier("ListModels"))
              .build();
        }
      }
    }
    return getListModelsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.rerankd.v1.GetModelRequest,
      dev.rerankd.v1.GetModelResponse> getGetModelMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetModel",
      requestType = dev.rerankd.v1.GetModelRequest.class,
      responseType = dev.rerankd.v1.GetModelResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.rerankd.v1.GetModelRequest,
      dev.rerankd.v1.GetModelResponse> getGetModelMethod() {
    io.grpc.MethodDescriptor<dev.rerankd.v1.GetModelRequest, dev.rerankd.v1.GetModelResponse> getGetModelMethod;
    if ((getGetModelMethod = RerankServiceGrpc.getGetModelMethod) == null) {
      synchronized (RerankServiceGrpc.class) {
        if ((getGetModelMethod = RerankServiceGrpc.getGetModelMethod) == null) {
          RerankServiceGrpc.getGetModelMethod = getGetModelMethod =
              io.grpc.MethodDescriptor.<dev.rerankd.v1.GetModelRequest, dev.rerankd.v1.GetModelResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetModel"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.rerankd.v1.GetModelRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.rerankd.v1.GetModelResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RerankServiceMethodDescriptorSupplier("GetModel"))
              .build();
        }
      }
    }
    return getGetModelMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.rerankd.v1.WarmDocumentsRequest,
      dev.rerankd.v1.WarmDocumentsResponse> getWarmDocumentsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WarmDocuments",
      requestType = dev.rerankd.v1.WarmDocumentsRequest.class,
      responseType = dev.rerankd.v1.WarmDocumentsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.rerankd.v1.WarmDocumentsRequest,
      dev.rerankd.v1.WarmDocumentsResponse> getWarmDocumentsMethod() {
    io.grpc.MethodDescriptor<dev.rerankd.v1.WarmDocumentsRequest, dev.rerankd.v1.WarmDocumentsResponse> getWarmDocumentsMethod;
    if ((getWarmDocumentsMethod = RerankServiceGrpc.getWarmDocumentsMethod) == null) {
      synchronized (RerankServiceGrpc.class) {
        if ((getWarmDocumentsMethod = RerankServiceGrpc.getWarmDocumentsMethod) == null) {
          RerankServiceGrpc.getWarmDocumentsMethod = getWarmDocumentsMethod =
              io.grpc.MethodDescriptor.<dev.rerankd.v1.WarmDocumentsRequest, dev.rerankd.v1.WarmDocumentsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WarmDocuments"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.rerankd.v1.WarmDocumentsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.rerankd.v1.WarmDocumentsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RerankServiceMethodDescriptorSupplier("WarmDocuments"))
              .build();
        }
      }
    }
    return getWarmDocumentsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.rerankd.v1.BatchRerankRequest,
      dev.rerankd.v1.BatchRerankResponse> getBatchRerankMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "BatchRerank",
      requestType = dev.rerankd.v1.BatchRerankRequest.class,
      responseType = dev.rerankd.v1.BatchRerankResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
  public static io.grpc.MethodDescriptor<dev.rerankd.v1.BatchRerankRequest,
      dev.rerankd.v1.BatchRerankResponse> getBatchRerankMethod() {
    io.grpc.MethodDescriptor<dev.rerankd.v1.BatchRerankRequest, dev.rerankd.v1.BatchRerankResponse> getBatchRerankMethod;
    if ((getBatchRerankMethod = RerankServiceGrpc.getBatchRerankMethod) == null) {
      synchronized (RerankServiceGrpc.class) {
        if ((getBatchRerankMethod = RerankServiceGrpc.getBatchRerankMethod) == null) {
          RerankServiceGrpc.getBatchRerankMethod = getBatchRerankMethod =
              io.grpc.MethodDescriptor.<dev.rerankd.v1.BatchRerankRequest, dev.rerankd.v1.BatchRerankResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "BatchRerank"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.rerankd.v1.BatchRerankRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.rerankd.v1.BatchRerankResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RerankServiceMethodDescriptorSupplier("BatchRerank"))
              .build();
        }
      }
    }
    return getBatchRerankMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static RerankServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<RerankServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<RerankServiceStub>() {
        @java.lang.Override
        public RerankServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new RerankServiceStub(channel, callOptions);
        }
      };
    return RerankServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static RerankServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<RerankServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<RerankServiceBlockingV2Stub>() {
        @java.lang.Override
        public RerankServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new RerankServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return RerankServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static RerankServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<RerankServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<RerankServiceBlockingStub>() {
        @java.lang.Override
        public RerankServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new RerankServiceBlockingStub(channel, callOptions);
        }
      };
    return RerankServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static RerankServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<RerankServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<RerankServiceFutureStub>() {
        @java.lang.Override
        public RerankServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new RerankServiceFutureStub(channel, callOptions);
        }
      };
    return RerankServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Orders documents by relevance with whichever model the operator has set up.
   * Every call honours the caller's deadline and cancellation. Failures carry `google.rpc` error details;
   * `ErrorReason` lists the reasons.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Scores every document against the query and returns the best ones, best first.
     * </pre>
     */
    default void rerank(dev.rerankd.v1.RerankRequest request,
        io.grpc.stub.StreamObserver<dev.rerankd.v1.RerankResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRerankMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the models a caller may name, with what each can do.
     * </pre>
     */
    default void listModels(dev.rerankd.v1.ListModelsRequest request,
        io.grpc.stub.StreamObserver<dev.rerankd.v1.ListModelsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListModelsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Returns one model by its name.
     * </pre>
     */
    default void getModel(dev.rerankd.v1.GetModelRequest request,
        io.grpc.stub.StreamObserver<dev.rerankd.v1.GetModelResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetModelMethod(), responseObserver);
    }

    /**
     * <pre>
     * Computes the vectors of documents ahead, so that later calls with them cost little more than the query.
     * For embedded models, which keep them in the memory of the process that answers, up to `local.vector_cache_mb`;
     * the least recently used are dropped first. Runs below all other calls. Vectors computed before a deadline are
     * kept, so the same call may be sent again to go on.
     * </pre>
     */
    default void warmDocuments(dev.rerankd.v1.WarmDocumentsRequest request,
        io.grpc.stub.StreamObserver<dev.rerankd.v1.WarmDocumentsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWarmDocumentsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Reranks a stream of items. An item that fails fails alone, with its status in its own answer.
     * Answers come as they finish unless `BatchOptions.ordered` is set; the last message is the summary.
     * The server reads no faster than it works, and works no faster than the client reads.
     * Over HTTP both bodies are newline-delimited JSON, one message a line.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<dev.rerankd.v1.BatchRerankRequest> batchRerank(
        io.grpc.stub.StreamObserver<dev.rerankd.v1.BatchRerankResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getBatchRerankMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service RerankService.
   * <pre>
   * Orders documents by relevance with whichever model the operator has set up.
   * Every call honours the caller's deadline and cancellation. Failures carry `google.rpc` error details;
   * `ErrorReason` lists the reasons.
   * </pre>
   */
  public static abstract class RerankServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return RerankServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service RerankService.
   * <pre>
   * Orders documents by relevance with whichever model the operator has set up.
   * Every call honours the caller's deadline and cancellation. Failures carry `google.rpc` error details;
   * `ErrorReason` lists the reasons.
   * </pre>
   */
  public static final class RerankServiceStub
      extends io.grpc.stub.AbstractAsyncStub<RerankServiceStub> {
    private RerankServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected RerankServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new RerankServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Scores every document against the query and returns the best ones, best first.
     * </pre>
     */
    public void rerank(dev.rerankd.v1.RerankRequest request,
        io.grpc.stub.StreamObserver<dev.rerankd.v1.RerankResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRerankMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the models a caller may name, with what each can do.
     * </pre>
     */
    public void listModels(dev.rerankd.v1.ListModelsRequest request,
        io.grpc.stub.StreamObserver<dev.rerankd.v1.ListModelsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListModelsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Returns one model by its name.
     * </pre>
     */
    public void getModel(dev.rerankd.v1.GetModelRequest request,
        io.grpc.stub.StreamObserver<dev.rerankd.v1.GetModelResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetModelMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Computes the vectors of documents ahead, so that later calls with them cost little more than the query.
     * For embedded models, which keep them in the memory of the process that answers, up to `local.vector_cache_mb`;
     * the least recently used are dropped first. Runs below all other calls. Vectors computed before a deadline are
     * kept, so the same call may be sent again to go on.
     * </pre>
     */
    public void warmDocuments(dev.rerankd.v1.WarmDocumentsRequest request,
        io.grpc.stub.StreamObserver<dev.rerankd.v1.WarmDocumentsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getWarmDocumentsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Reranks a stream of items. An item that fails fails alone, with its status in its own answer.
     * Answers come as they finish unless `BatchOptions.ordered` is set; the last message is the summary.
     * The server reads no faster than it works, and works no faster than the client reads.
     * Over HTTP both bodies are newline-delimited JSON, one message a line.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<dev.rerankd.v1.BatchRerankRequest> batchRerank(
        io.grpc.stub.StreamObserver<dev.rerankd.v1.BatchRerankResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncBidiStreamingCall(
          getChannel().newCall(getBatchRerankMethod(), getCallOptions()), responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service RerankService.
   * <pre>
   * Orders documents by relevance with whichever model the operator has set up.
   * Every call honours the caller's deadline and cancellation. Failures carry `google.rpc` error details;
   * `ErrorReason` lists the reasons.
   * </pre>
   */
  public static final class RerankServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<RerankServiceBlockingV2Stub> {
    private RerankServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected RerankServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new RerankServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Scores every document against the query and returns the best ones, best first.
     * </pre>
     */
    public dev.rerankd.v1.RerankResponse rerank(dev.rerankd.v1.RerankRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRerankMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the models a caller may name, with what each can do.
     * </pre>
     */
    public dev.rerankd.v1.ListModelsResponse listModels(dev.rerankd.v1.ListModelsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListModelsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns one model by its name.
     * </pre>
     */
    public dev.rerankd.v1.GetModelResponse getModel(dev.rerankd.v1.GetModelRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetModelMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Computes the vectors of documents ahead, so that later calls with them cost little more than the query.
     * For embedded models, which keep them in the memory of the process that answers, up to `local.vector_cache_mb`;
     * the least recently used are dropped first. Runs below all other calls. Vectors computed before a deadline are
     * kept, so the same call may be sent again to go on.
     * </pre>
     */
    public dev.rerankd.v1.WarmDocumentsResponse warmDocuments(dev.rerankd.v1.WarmDocumentsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getWarmDocumentsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reranks a stream of items. An item that fails fails alone, with its status in its own answer.
     * Answers come as they finish unless `BatchOptions.ordered` is set; the last message is the summary.
     * The server reads no faster than it works, and works no faster than the client reads.
     * Over HTTP both bodies are newline-delimited JSON, one message a line.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<dev.rerankd.v1.BatchRerankRequest, dev.rerankd.v1.BatchRerankResponse>
        batchRerank() {
      return io.grpc.stub.ClientCalls.blockingBidiStreamingCall(
          getChannel(), getBatchRerankMethod(), getCallOptions());
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service RerankService.
   * <pre>
   * Orders documents by relevance with whichever model the operator has set up.
   * Every call honours the caller's deadline and cancellation. Failures carry `google.rpc` error details;
   * `ErrorReason` lists the reasons.
   * </pre>
   */
  public static final class RerankServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<RerankServiceBlockingStub> {
    private RerankServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected RerankServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new RerankServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Scores every document against the query and returns the best ones, best first.
     * </pre>
     */
    public dev.rerankd.v1.RerankResponse rerank(dev.rerankd.v1.RerankRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRerankMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the models a caller may name, with what each can do.
     * </pre>
     */
    public dev.rerankd.v1.ListModelsResponse listModels(dev.rerankd.v1.ListModelsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListModelsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns one model by its name.
     * </pre>
     */
    public dev.rerankd.v1.GetModelResponse getModel(dev.rerankd.v1.GetModelRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetModelMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Computes the vectors of documents ahead, so that later calls with them cost little more than the query.
     * For embedded models, which keep them in the memory of the process that answers, up to `local.vector_cache_mb`;
     * the least recently used are dropped first. Runs below all other calls. Vectors computed before a deadline are
     * kept, so the same call may be sent again to go on.
     * </pre>
     */
    public dev.rerankd.v1.WarmDocumentsResponse warmDocuments(dev.rerankd.v1.WarmDocumentsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getWarmDocumentsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service RerankService.
   * <pre>
   * Orders documents by relevance with whichever model the operator has set up.
   * Every call honours the caller's deadline and cancellation. Failures carry `google.rpc` error details;
   * `ErrorReason` lists the reasons.
   * </pre>
   */
  public static final class RerankServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<RerankServiceFutureStub> {
    private RerankServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected RerankServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new RerankServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Scores every document against the query and returns the best ones, best first.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.rerankd.v1.RerankResponse> rerank(
        dev.rerankd.v1.RerankRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRerankMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the models a caller may name, with what each can do.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.rerankd.v1.ListModelsResponse> listModels(
        dev.rerankd.v1.ListModelsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListModelsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Returns one model by its name.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.rerankd.v1.GetModelResponse> getModel(
        dev.rerankd.v1.GetModelRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetModelMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Computes the vectors of documents ahead, so that later calls with them cost little more than the query.
     * For embedded models, which keep them in the memory of the process that answers, up to `local.vector_cache_mb`;
     * the least recently used are dropped first. Runs below all other calls. Vectors computed before a deadline are
     * kept, so the same call may be sent again to go on.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.rerankd.v1.WarmDocumentsResponse> warmDocuments(
        dev.rerankd.v1.WarmDocumentsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getWarmDocumentsMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_RERANK = 0;
  private static final int METHODID_LIST_MODELS = 1;
  private static final int METHODID_GET_MODEL = 2;
  private static final int METHODID_WARM_DOCUMENTS = 3;
  private static final int METHODID_BATCH_RERANK = 4;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_RERANK:
          serviceImpl.rerank((dev.rerankd.v1.RerankRequest) request,
              (io.grpc.stub.StreamObserver<dev.rerankd.v1.RerankResponse>) responseObserver);
          break;
        case METHODID_LIST_MODELS:
          serviceImpl.listModels((dev.rerankd.v1.ListModelsRequest) request,
              (io.grpc.stub.StreamObserver<dev.rerankd.v1.ListModelsResponse>) responseObserver);
          break;
        case METHODID_GET_MODEL:
          serviceImpl.getModel((dev.rerankd.v1.GetModelRequest) request,
              (io.grpc.stub.StreamObserver<dev.rerankd.v1.GetModelResponse>) responseObserver);
          break;
        case METHODID_WARM_DOCUMENTS:
          serviceImpl.warmDocuments((dev.rerankd.v1.WarmDocumentsRequest) request,
              (io.grpc.stub.StreamObserver<dev.rerankd.v1.WarmDocumentsResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_BATCH_RERANK:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.batchRerank(
              (io.grpc.stub.StreamObserver<dev.rerankd.v1.BatchRerankResponse>) responseObserver);
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getRerankMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.rerankd.v1.RerankRequest,
              dev.rerankd.v1.RerankResponse>(
                service, METHODID_RERANK)))
        .addMethod(
          getListModelsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.rerankd.v1.ListModelsRequest,
              dev.rerankd.v1.ListModelsResponse>(
                service, METHODID_LIST_MODELS)))
        .addMethod(
          getGetModelMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.rerankd.v1.GetModelRequest,
              dev.rerankd.v1.GetModelResponse>(
                service, METHODID_GET_MODEL)))
        .addMethod(
          getWarmDocumentsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.rerankd.v1.WarmDocumentsRequest,
              dev.rerankd.v1.WarmDocumentsResponse>(
                service, METHODID_WARM_DOCUMENTS)))
        .addMethod(
          getBatchRerankMethod(),
          io.grpc.stub.ServerCalls.asyncBidiStreamingCall(
            new MethodHandlers<
              dev.rerankd.v1.BatchRerankRequest,
              dev.rerankd.v1.BatchRerankResponse>(
                service, METHODID_BATCH_RERANK)))
        .build();
  }

  private static abstract class RerankServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    RerankServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return dev.rerankd.v1.RerankServiceOuterClass.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("RerankService");
    }
  }

  private static final class RerankServiceFileDescriptorSupplier
      extends RerankServiceBaseDescriptorSupplier {
    RerankServiceFileDescriptorSupplier() {}
  }

  private static final class RerankServiceMethodDescriptorSupplier
      extends RerankServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    RerankServiceMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (RerankServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new RerankServiceFileDescriptorSupplier())
              .addMethod(getRerankMethod())
              .addMethod(getListModelsMethod())
              .addMethod(getGetModelMethod())
              .addMethod(getWarmDocumentsMethod())
              .addMethod(getBatchRerankMethod())
              .build();
        }
      }
    }
    return result;
  }
}
