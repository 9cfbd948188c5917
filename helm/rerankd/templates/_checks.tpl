{{/* Values that contradict each other; what one value alone can have wrong is in values.schema.json. */}}
{{- define "rerankd.checks" -}}
{{- if not (or .Values.auth.apiKeys.enabled .Values.auth.allowUnauthenticated) }}
{{- fail "auth.apiKeys.enabled and auth.allowUnauthenticated are both false, and the service refuses to listen on a pod's address without one of them. Have callers send API keys with auth.apiKeys.enabled" }}
{{- end }}
{{- if and .Values.auth.apiKeys.enabled (not (or .Values.auth.apiKeys.bootstrapSecret.name .Values.database.secret.name (dig "access" "keys" "" .Values.config) (dig "access" "jwt" "" .Values.config) .Values.existingConfigMap)) }}
{{- fail "auth.apiKeys needs keys: auth.apiKeys.bootstrapSecret, config.access.keys, config.access.jwt or database.secret" }}
{{- end }}
{{- if hasKey (.Values.config.access | default dict) "enabled" }}
{{- fail "config.access.enabled is set by the chart: use the value auth.apiKeys.enabled" }}
{{- end }}
{{- range $value := list (list "redis.secret" .Values.redis.secret) (list "database.secret" .Values.database.secret) (list "auth.apiKeys.bootstrapSecret" .Values.auth.apiKeys.bootstrapSecret) }}
{{- if and (last $value) (not (and (last $value).name (last $value).key)) }}
{{- fail (printf "%s needs name and key of the Secret" (first $value)) }}
{{- end }}
{{- end }}
{{- range $key, $value := dict "host" "server.host" "grpc_port" "server.grpcPort" "http_port" "server.httpPort" "workers" "server.workers" "allow_unauthenticated" "auth.allowUnauthenticated" "drain_delay_s" "drain.delaySeconds" "drain_grace_s" "drain.graceSeconds" }}
{{- if hasKey ($.Values.config.server | default dict) $key }}
{{- fail (printf "config.server.%s is set by the chart: use the value %s" $key $value) }}
{{- end }}
{{- end }}
{{- if dig "server" "tls" dict .Values.config }}
{{- fail "config.server.tls is not for this chart, whose probes, routes and Envoy reach the pods in plain text: use envoy.tls, or TLS of the Gateway or Ingress" }}
{{- end }}
{{- include "rerankd.checkExclusive" . }}
{{- include "rerankd.checkExposure" . }}
{{- end -}}

{{- define "rerankd.checkExclusive" -}}
{{- if and .Values.autoscaling.enabled .Values.keda.enabled }}
{{- fail "autoscaling.enabled and keda.enabled are both true, and KEDA makes a HorizontalPodAutoscaler of its own: choose one" }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled }}
{{- fail "metrics.serviceMonitor.enabled and metrics.podMonitor.enabled are both true, so every pod would be scraped twice: choose one" }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.service) }}
{{- fail "metrics.serviceMonitor needs the Service that metrics.service turns on" }}
{{- end }}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}
{{- fail "autoscaling.minReplicas is above autoscaling.maxReplicas" }}
{{- end }}
{{- if and .Values.autoscaling.enabled (not (or .Values.autoscaling.targetCPUUtilizationPercentage .Values.autoscaling.targetCallsInFlight .Values.autoscaling.metrics)) }}
{{- fail "autoscaling needs a target: autoscaling.targetCPUUtilizationPercentage, targetCallsInFlight or metrics" }}
{{- end }}
{{- if and .Values.keda.enabled (not .Values.keda.prometheusAddress) (not .Values.keda.triggers) (not .Values.keda.targetCPUUtilizationPercentage) }}
{{- fail "keda needs a trigger: keda.prometheusAddress, targetCPUUtilizationPercentage or triggers" }}
{{- end }}
{{- if and .Values.redis.url .Values.redis.secret.name }}
{{- fail "redis.url and redis.secret are both set: choose one" }}
{{- end }}
{{- if and .Values.existingConfigMap .Values.config }}
{{- fail "config and existingConfigMap are both set: the settings come from one of them" }}
{{- end }}
{{- end -}}

{{/* Fails where callers from outside the cluster could call unauthenticated without anybody having said so. */}}
{{- define "rerankd.checkExposure" -}}
{{- if and (or .Values.gateway.grpcRoute .Values.gateway.httpRoute) (not .Values.gateway.parentRefs) }}
{{- fail "gateway.parentRefs names the Gateways that the routes attach to" }}
{{- end }}
{{- if and .Values.certificate.enabled (not .Values.certificate.issuerRef) }}
{{- fail "certificate.issuerRef names the issuer" }}
{{- end }}
{{- if and .Values.envoy.enabled .Values.envoy.tls (not .Values.envoy.tlsSecretName) (not .Values.certificate.enabled) }}
{{- fail "envoy.tls needs a Secret: envoy.tlsSecretName, or certificate.enabled" }}
{{- end }}
{{- if and .Values.envoy.jwt.enabled (not .Values.envoy.enabled) }}
{{- fail "envoy.jwt checks tokens in Envoy, which envoy.enabled turns on" }}
{{- end }}
{{- if and .Values.envoy.jwt.enabled (or (not .Values.envoy.jwt.issuer) (eq (empty .Values.envoy.jwt.jwks) (empty .Values.envoy.jwt.jwksUri))) }}
{{- fail "envoy.jwt needs an issuer, and either jwks or jwksUri" }}
{{- end }}
{{- if not (or .Values.auth.allowExposure .Values.auth.apiKeys.enabled) }}
{{- $ways := list -}}
{{- if ne .Values.service.type "ClusterIP" }}{{ $ways = append $ways (printf "service.type %s" .Values.service.type) }}{{ end -}}
{{- if not .Values.envoy.jwt.enabled }}
{{- if .Values.ingress.enabled }}{{ $ways = append $ways "ingress.enabled" }}{{ end -}}
{{- if .Values.gateway.grpcRoute }}{{ $ways = append $ways "gateway.grpcRoute" }}{{ end -}}
{{- if .Values.gateway.httpRoute }}{{ $ways = append $ways "gateway.httpRoute" }}{{ end -}}
{{- if and .Values.envoy.enabled (ne .Values.envoy.service.type "ClusterIP") }}{{ $ways = append $ways (printf "envoy.service.type %s" .Values.envoy.service.type) }}{{ end -}}
{{- end }}
{{- with $ways }}
{{- fail (printf "%s would let callers from outside the cluster call unauthenticated, with the keys of your providers. Have callers send API keys with auth.apiKeys.enabled, turn envoy.enabled and envoy.jwt.enabled on and lead callers to Envoy, or, where the gateway in front authenticates, set auth.allowExposure to true" (join ", " .)) }}
{{- end }}
{{- end }}
{{- end -}}
