{{/* The settings file: `config` with what the chart itself sets. */}}
{{- define "rerankd.settings" -}}
{{- $server := dict "host" .Values.server.host "grpc_port" .Values.server.grpcPort "http_port" .Values.server.httpPort "workers" .Values.server.workers "allow_unauthenticated" (and .Values.auth.allowUnauthenticated (not .Values.auth.apiKeys.enabled)) "drain_delay_s" .Values.drain.delaySeconds "drain_grace_s" .Values.drain.graceSeconds -}}
{{- $own := dict "server" $server -}}
{{- if .Values.auth.apiKeys.enabled }}{{ $_ := set $own "access" (dict "enabled" true) }}{{ end -}}
{{- toYaml (mustMergeOverwrite (deepCopy .Values.config) $own) -}}
{{- end -}}

{{- define "rerankd.usesRedis" -}}
{{- if or .Values.redis.url .Values.redis.secret.name }}true{{ end -}}
{{- end -}}

{{/* Variables of the pods. */}}
{{- define "rerankd.environment" -}}
- {name: RERANKD_CONFIG, value: /etc/rerankd/rerankd.yaml}
- {name: XDG_CACHE_HOME, value: /var/cache/rerankd}
- {name: XDG_STATE_HOME, value: /var/cache/rerankd/state}
- {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
{{- if not (hasKey .Values.env "OTEL_RESOURCE_ATTRIBUTES") }}
- {name: OTEL_RESOURCE_ATTRIBUTES, value: "k8s.namespace.name={{ .Release.Namespace }},k8s.pod.name=$(POD_NAME)"}
{{- end }}
{{- if and (dig "requests" "cpu" "" .Values.resources) (eq (int .Values.server.workers) 1) (not (hasKey (.Values.config.local | default dict) "threads")) }}
- {name: RERANKD_LOCAL__THREADS, valueFrom: {resourceFieldRef: {containerName: rerankd, resource: requests.cpu, divisor: "1"}}}
{{- end }}
{{- $urls := list "RERANKD_CACHE__REDIS_URL" -}}
{{- $ledger := dig "access" "ledger" dict .Values.config -}}
{{- if not (or (hasKey $ledger "path") (hasKey $ledger "redis_url")) }}{{ $urls = append $urls "RERANKD_ACCESS__LEDGER__REDIS_URL" }}{{ end -}}
{{- range $urls }}
{{- if $.Values.redis.secret.name }}
- {name: {{ . }}, valueFrom: {secretKeyRef: {name: {{ $.Values.redis.secret.name | quote }}, key: {{ $.Values.redis.secret.key | quote }}}}}
{{- else if $.Values.redis.url }}
- {name: {{ . }}, value: {{ $.Values.redis.url | quote }}}
{{- end }}
{{- end }}
{{- if and .Values.auth.apiKeys.enabled .Values.auth.apiKeys.bootstrapSecret.name }}
- {name: RERANKD_ACCESS__BOOTSTRAP_KEY, valueFrom: {secretKeyRef: {{ toJson .Values.auth.apiKeys.bootstrapSecret }}}}
{{- end }}
{{- include "rerankd.databaseVariable" . }}
{{- range $name, $value := .Values.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- range $name, $ref := .Values.secrets.env }}
- {name: {{ $name }}, valueFrom: {secretKeyRef: {{ toJson $ref }}}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "rerankd.databaseVariable" -}}
{{- if .Values.database.secret.name }}
- {name: RERANKD_STORE__URL, valueFrom: {secretKeyRef: {{ toJson .Values.database.secret }}}}
{{- end }}
{{- end -}}
