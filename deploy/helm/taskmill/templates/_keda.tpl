{{/* The queues of a pool as a regular expression of Prometheus, without their weights; all without any. */}}
{{- define "taskmill.queuePattern" -}}
{{- $names := list -}}
{{- range .queues -}}{{- $names = append $names (regexReplaceAll "=.*$" . "" | regexQuoteMeta) -}}{{- end -}}
{{- $names | join "|" | default ".*" -}}
{{- end -}}

{{/* The metric is that of the whole system: the same from each process, so max and not sum. */}}
{{- define "taskmill.scaledObject" -}}
{{- $keda := .values.keda -}}
{{- if $keda.enabled -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ include "taskmill.fullname" .root }}-{{ .component }}
  labels:
    {{- include "taskmill.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  scaleTargetRef:
    name: {{ include "taskmill.fullname" .root }}-{{ .component }}
  minReplicaCount: {{ $keda.minReplicas }}
  maxReplicaCount: {{ $keda.maxReplicas }}
  pollingInterval: {{ $keda.pollingInterval }}
  cooldownPeriod: {{ $keda.cooldownSeconds }}
  # Without a metric the number of pods stays as it is.
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown:
          stabilizationWindowSeconds: {{ $keda.cooldownSeconds }}
          policies: [{type: Pods, value: 1, periodSeconds: 60}]
  triggers:
    - type: prometheus
      # Value, not AverageValue: pods are added for as long as tasks wait for longer, whatever their number.
      metricType: Value
      metadata:
        serverAddress: {{ required (printf "keda.prometheusAddress of %s" .component) $keda.prometheusAddress | quote }}
        query: max(taskmill_queue_oldest_due_seconds{queue=~`{{ include "taskmill.queuePattern" .values }}`})
        threshold: {{ $keda.targetWaitSeconds | quote }}
{{- end -}}
{{- end -}}
