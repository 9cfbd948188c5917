{{/* Envoy's settings: those of deploy/envoy/envoy.yaml, with this release's names and ports, tokens and TLS. */}}
{{- define "rerankd.envoy.config" -}}
{{- $config := .Files.Get "files/envoy.yaml" | fromYaml -}}
{{- $listener := first $config.static_resources.listeners -}}
{{- $_ := set $listener.address "socket_address" (dict "address" .Values.server.host "port_value" .Values.envoy.port "ipv4_compat" (eq .Values.server.host "::")) -}}
{{- $chain := first $listener.filter_chains -}}
{{- $manager := (first $chain.filters).typed_config -}}
{{- $origins := list -}}
{{- range .Values.envoy.allowedOrigins }}{{ $origins = append $origins (dict "exact" .) }}{{ end -}}
{{- $host := first $manager.route_config.virtual_hosts -}}
{{- $_ := set (index $host.typed_per_filter_config "envoy.filters.http.cors") "allow_origin_string_match" $origins -}}
{{- range $config.static_resources.clusters -}}
{{- $endpoint := first (first .load_assignment.endpoints).lb_endpoints -}}
{{- $_ := set $endpoint.endpoint.address "socket_address" (dict "address" (printf "%s-headless.%s.svc" (include "rerankd.fullname" $) $.Release.Namespace) "port_value" (ternary $.Values.server.grpcPort $.Values.server.httpPort (eq .name "rerankd_grpc"))) -}}
{{- end -}}
{{- if .Values.envoy.jwt.enabled -}}
{{- $filter := include "rerankd.envoy.jwt" . | fromYaml -}}
{{- $_ := set $manager "http_filters" (concat (initial $manager.http_filters) (list $filter) (list (last $manager.http_filters))) -}}
{{- if .Values.envoy.jwt.jwksUri -}}
{{- $_ := set $config.static_resources "clusters" (append $config.static_resources.clusters (include "rerankd.envoy.jwksCluster" . | fromYaml)) -}}
{{- end -}}
{{- end -}}
{{- if .Values.envoy.tls -}}
{{- $_ := set $chain "transport_socket" (include "rerankd.envoy.tls" . | fromYaml) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "rerankd.envoy.jwt" -}}
{{- $filter := .Files.Get "files/jwt.yaml" | fromYaml -}}
{{- $provider := $filter.typed_config.providers.callers -}}
{{- $_ := set $provider "issuer" .Values.envoy.jwt.issuer -}}
{{- $_ := set $provider "audiences" .Values.envoy.jwt.audiences -}}
{{- $_ := unset $provider "local_jwks" -}}
{{- if .Values.envoy.jwt.jwks -}}
{{- $_ := set $provider "local_jwks" (dict "inline_string" .Values.envoy.jwt.jwks) -}}
{{- else -}}
{{- $uri := dict "uri" .Values.envoy.jwt.jwksUri "cluster" "jwks" "timeout" "5s" -}}
{{- $_ := set $provider "remote_jwks" (dict "http_uri" $uri "cache_duration" "300s" "async_fetch" (dict "fast_listener" true)) -}}
{{- end -}}
{{- toYaml $filter -}}
{{- end -}}

{{- define "rerankd.envoy.jwksCluster" -}}
{{- $host := (urlParse .Values.envoy.jwt.jwksUri).hostname -}}
{{- $port := (urlParse .Values.envoy.jwt.jwksUri).host | trimPrefix $host | trimPrefix ":" | default "443" -}}
name: jwks
cluster_type:
  name: envoy.cluster.dns
  typed_config: {"@type": type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster}
connect_timeout: 5s
load_assignment:
  cluster_name: jwks
  endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: {{ $host | quote }}, port_value: {{ $port }}}}}}]}]
transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
    sni: {{ $host | quote }}
    common_tls_context:
      validation_context:
        trusted_ca: {filename: /etc/ssl/certs/ca-certificates.crt}
        match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: {{ $host | quote }}}}]
{{- end -}}

{{- define "rerankd.envoy.tls" -}}
name: envoy.transport_sockets.tls
typed_config:
  "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
  common_tls_context:
    alpn_protocols: [h2, http/1.1]
    tls_certificate_sds_secret_configs:
      - name: front
        sds_config:
          path_config_source: {path: /etc/envoy/tls.yaml, watched_directory: {path: /run/secrets/tls}}
{{- end -}}

{{/* A renewed certificate is taken up without a restart. */}}
{{- define "rerankd.envoy.certificate" -}}
resources:
  - "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret
    name: front
    tls_certificate:
      certificate_chain: {filename: /run/secrets/tls/tls.crt}
      private_key: {filename: /run/secrets/tls/tls.key}
      watched_directory: {path: /run/secrets/tls}
{{- end -}}
