{{/* Names and labels. */}}
{{- define "rerankd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 50 characters, which leaves room for the suffixes of other objects. */}}
{{- define "rerankd.fullname" -}}
{{- $name := include "rerankd.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "rerankd.selector" -}}
app.kubernetes.io/name: {{ include "rerankd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "rerankd.envoy.selector" -}}
app.kubernetes.io/name: {{ include "rerankd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: envoy
{{- end -}}

{{- define "rerankd.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Metadata of an object. Call with (dict "root" $ "name" NAME), and "labels", "annotations" and "component" where there are any. */}}
{{- define "rerankd.metadata" -}}
{{- $selector := eq (.component | default "server") "envoy" | ternary "rerankd.envoy.selector" "rerankd.selector" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- $labels := merge (dict) (.labels | default dict) (include "rerankd.commonLabels" .root | fromYaml) (include $selector .root | fromYaml) }}
  {{- toYaml $labels | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "rerankd.serviceAccountName" -}}
{{- default (ternary (include "rerankd.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "rerankd.image" -}}
{{- $registry := default (.Values.global.imageRegistry | default "") .Values.image.registry -}}
{{- $name := list $registry .Values.image.repository | compact | join "/" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "rerankd.pullSecrets" -}}
{{- with concat .Values.image.pullSecrets (.Values.global.imagePullSecrets | default list) }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What callers from outside reach: Envoy where there is one. */}}
{{- define "rerankd.frontName" -}}
{{- include "rerankd.fullname" . }}{{ if .Values.envoy.enabled }}-envoy{{ end }}
{{- end -}}

{{- define "rerankd.tlsSecretName" -}}
{{- default (printf "%s-tls" (include "rerankd.fullname" .)) .Values.envoy.tlsSecretName -}}
{{- end -}}
