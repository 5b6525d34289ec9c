{{- define "taskmill.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "taskmill.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "taskmill.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "taskmill.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "taskmill.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "taskmill.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What selects all pods of a release; a component, and a pool of workers, are added to it. */}}
{{- define "taskmill.selector" -}}
app.kubernetes.io/name: {{ include "taskmill.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "taskmill.labels" -}}
{{ include "taskmill.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The image of a dict of root and image, which is the chart's own unless it names another one: a digest is of one image. */}}
{{- define "taskmill.image" -}}
{{- $image := mergeOverwrite (deepCopy .root.Values.image) (default (dict) .image) -}}
{{- if and .image (or .image.tag .image.repository) -}}{{- $_ := set $image "digest" (default "" .image.digest) -}}{{- end -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Names under which the API and the admin ports accept requests. Probes come by address, which needs no name. */}}
{{- define "taskmill.allowedHosts" -}}
{{- $service := printf "%s-api" (include "taskmill.fullname" .) -}}
{{- $namespaced := printf "%s.%s" $service .Release.Namespace -}}
{{- $hosts := list "localhost" $service $namespaced (printf "%s.svc" $namespaced) (printf "%s.svc.%s" $namespaced .Values.clusterDomain) -}}
{{- if .Values.api.ingress.enabled -}}{{- $hosts = append $hosts .Values.api.ingress.host -}}{{- end -}}
{{- concat $hosts .Values.api.allowedHosts | uniq | join "," -}}
{{- end -}}

{{/* Whether a role runs: relay and intake need RabbitMQ. */}}
{{- define "taskmill.runs" -}}
{{- if has .role (list "relay" "intake") -}}
{{- if .root.Values.broker.enabled -}}yes{{- end -}}
{{- else if or (ne .role "webhooks") .root.Values.webhooks.enabled -}}yes{{- end -}}
{{- end -}}
