{{/* A variable from a key of a Secret. */}}
{{- define "taskmill.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end -}}

{{/* The key of the Secret of the database, and of that of the broker, that belongs to a role. */}}
{{- define "taskmill.databaseKey" -}}
{{- $keys := .root.Values.database.secret.keys -}}
{{- eq .role "maintenance" | ternary $keys.maintenance $keys.app -}}
{{- end -}}

{{- define "taskmill.brokerKey" -}}
{{- $keys := .root.Values.broker.secret.keys -}}
{{- get $keys (has .role (list "worker" "relay" "intake") | ternary .role "api") -}}
{{- end -}}

{{/* Refuses settings that the chart makes of other values: ports, grace times and networks would not go with them. */}}
{{- define "taskmill.refuseOwn" -}}
{{- $use := dict
      "TASKMILL_ADMIN_HOST" "nothing: it is fixed"
      "TASKMILL_ADMIN_PORT" "nothing: it is fixed"
      "TASKMILL_API__HOST" "nothing: it is fixed"
      "TASKMILL_API__PORT" "api.service.port"
      "TASKMILL_API__ALLOWED_HOSTS" "api.allowedHosts"
      "TASKMILL_API__TRUSTED_PROXIES" "api.trustedProxies"
      "TASKMILL_BROKER" "broker.enabled"
      "TASKMILL_SECRETS_KEY_FILE" "secretsKey"
      "TASKMILL_WORKER__APP" "app of worker or of a pool"
      "TASKMILL_WORKER__CONCURRENCY" "concurrency of worker or of a pool"
      "TASKMILL_WORKER__GRACE_S" "graceSeconds of worker or of a pool"
      "TASKMILL_WORKER__NAME" "nothing: it is the pod's"
      "TASKMILL_WORKER__QUEUES" "queues of worker or of a pool"
-}}
{{- range $name, $_ := . -}}
{{- if hasKey $use $name -}}{{- fail (printf "settings: instead of %s set %s" $name (get $use $name)) -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* What a role is told by the chart, name to value: of root, role and values. `settings` win over the first two. */}}
{{- define "taskmill.settings" -}}
{{- $values := .root.Values -}}
{{- include "taskmill.refuseOwn" (mergeOverwrite (deepCopy $values.settings) (deepCopy .values.settings)) -}}
{{- $address := printf "%s-api.%s.svc.%s" (include "taskmill.fullname" .root) .root.Release.Namespace $values.clusterDomain -}}
{{- $own := dict
      "TASKMILL_AUTH" "required"
      "TASKMILL_LOG_FORMAT" "json"
      "TASKMILL_ADMIN_HOST" "0.0.0.0"
      "TASKMILL_ADMIN_PORT" "8001"
      "TASKMILL_API__HOST" (eq .role "api" | ternary "0.0.0.0" $address)
      "TASKMILL_API__ALLOWED_HOSTS" (include "taskmill.allowedHosts" .root)
-}}
{{- if not $values.broker.enabled -}}{{- $_ := set $own "TASKMILL_BROKER" "postgres" -}}{{- end -}}
{{- if and $values.secretsKey.secret.name (has .role (list "api" "webhooks")) -}}
{{- $_ := set $own "TASKMILL_SECRETS_KEY_FILE" "/var/run/secrets/taskmill/secrets.key" -}}
{{- end -}}
{{- if eq .role "api" -}}
{{- $_ := set $own "TASKMILL_API__PORT" "8000" -}}
{{- if $values.api.trustedProxies -}}
{{- $_ := set $own "TASKMILL_API__TRUSTED_PROXIES" (join "," $values.api.trustedProxies) -}}
{{- end -}}
{{- end -}}
{{- if eq .role "worker" -}}
{{- $_ := set $own "TASKMILL_WORKER__CONCURRENCY" .values.concurrency -}}
{{- $_ := set $own "TASKMILL_WORKER__GRACE_S" .values.graceSeconds -}}
{{- if .values.app -}}{{- $_ := set $own "TASKMILL_WORKER__APP" .values.app -}}{{- end -}}
{{- if .values.queues -}}{{- $_ := set $own "TASKMILL_WORKER__QUEUES" (join "," .values.queues) -}}{{- end -}}
{{- end -}}
{{- range $name, $value := mergeOverwrite $own (deepCopy $values.settings) (deepCopy .values.settings) }}
- name: {{ $name }}
  value: {{ include "taskmill.text" $value | quote }}
{{- end -}}
{{- end -}}

{{/* A value as text: a whole number without the exponent that Helm would give to a million. */}}
{{- define "taskmill.text" -}}
{{- if kindIs "float64" . -}}
{{- eq (floor .) . | ternary (printf "%.0f" .) (toString .) -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{- define "taskmill.env" -}}
{{ include "taskmill.secretEnv" (dict "name" "TASKMILL_DATABASE_URL" "secret" (required "database.secret.name: the Secret with the addresses of PostgreSQL" .root.Values.database.secret.name) "key" (include "taskmill.databaseKey" .)) }}
{{- if .root.Values.broker.enabled }}
{{ include "taskmill.secretEnv" (dict "name" "TASKMILL_BROKER_URL" "secret" (required "broker.secret.name: the Secret with the addresses of RabbitMQ; or broker.enabled=false" .root.Values.broker.secret.name) "key" (include "taskmill.brokerKey" .)) }}
{{- end }}
{{- if eq .role "worker" }}
# Workers are listed by their pods' names.
- name: TASKMILL_WORKER__NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}
{{- include "taskmill.settings" . }}
{{- with .values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* How long a pod may take to stop: what its role takes at most, and time to hand back and to close connections. */}}
{{- define "taskmill.grace" -}}
{{- $settings := mergeOverwrite (deepCopy .root.Values.settings) (deepCopy .values.settings) -}}
{{- if eq .role "worker" -}}
{{- $timeout := get $settings "TASKMILL_WORKER__STOP_TIMEOUT_S" | default 1 | float64 | ceil | int -}}
{{- add .values.graceSeconds (mul 2 $timeout) 20 -}}
{{- else if eq .role "api" -}}
{{- $delay := get $settings "TASKMILL_API__STOP_DELAY_S" | default 0 | float64 | ceil | int -}}
{{- add .root.Values.api.drainSeconds $delay 20 -}}
{{- else -}}
30
{{- end -}}
{{- end -}}

{{- define "taskmill.probes" -}}
# It answers as long as the process can answer at all. What the database does is no reason to restart it.
livenessProbe:
  httpGet: {path: /healthz, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
startupProbe:
  httpGet: {path: /healthz, port: admin}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 60
# While the database is away it takes up to 5 s to say so.
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 5
  timeoutSeconds: 6
  failureThreshold: 2
{{- end -}}

{{/* A Deployment of root, role, component (the name of the role, or `worker-POOL`) and values. */}}
{{- define "taskmill.deployment" -}}
{{- $root := .root -}}
{{- $scaled := or (dig "autoscaling" "enabled" false .values) (dig "keda" "enabled" false .values) -}}
{{- $keys := and $root.Values.secretsKey.secret.name (has .role (list "api" "webhooks")) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "taskmill.fullname" $root }}-{{ .component }}
  labels:
    {{- include "taskmill.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  {{- if not $scaled }}
  replicas: {{ .values.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  selector:
    matchLabels:
      {{- include "taskmill.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  template:
    metadata:
      labels:
        {{- with .values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- include "taskmill.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
        taskmill/role: {{ .role }}
      {{- with .values.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "taskmill.serviceAccountName" $root }}
      automountServiceAccountToken: false
      # Otherwise each Service is a variable: TASKMILL_API_PORT and others, which are not settings, and refused.
      enableServiceLinks: false
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- toYaml $root.Values.podSecurityContext | nindent 8 }}
      terminationGracePeriodSeconds: {{ include "taskmill.grace" . }}
      {{- with .values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with .values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "taskmill.selector" $root | nindent 14 }}
              app.kubernetes.io/component: {{ .component }}
      containers:
        - name: taskmill
          image: {{ include "taskmill.image" (dict "root" $root "image" .values.image) }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [run, {{ .role }}]
          securityContext:
            {{- toYaml $root.Values.containerSecurityContext | nindent 12 }}
          env:
            {{- include "taskmill.env" . | nindent 12 }}
          {{- with .values.envFrom }}
          envFrom:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            {{- if eq .role "api" }}
            - {name: http, containerPort: 8000}
            {{- end }}
            - {name: admin, containerPort: 8001}
          {{- include "taskmill.probes" . | nindent 10 }}
          {{- if eq .role "api" }}
          # It goes on serving, with open connections and new ones, until no Service and no proxy sends it any more.
          lifecycle:
            preStop: {exec: {command: [sleep, {{ $root.Values.api.drainSeconds | quote }}]}}
          {{- end }}
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- if $keys }}
            - {name: secrets-key, mountPath: /var/run/secrets/taskmill, readOnly: true}
            {{- end }}
            {{- with .values.volumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir: {medium: Memory, sizeLimit: 16Mi}
        {{- if $keys }}
        - name: secrets-key
          secret:
            secretName: {{ $root.Values.secretsKey.secret.name }}
            # The file is root's, and the pod's group may read it: nobody else.
            defaultMode: 0440
            items: [{key: {{ $root.Values.secretsKey.secret.key }}, path: secrets.key}]
        {{- end }}
        {{- with .values.volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}

{{- define "taskmill.pdb" -}}
{{- if .values.pdb.enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "taskmill.fullname" .root }}-{{ .component }}
  labels:
    {{- include "taskmill.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  maxUnavailable: {{ .values.pdb.maxUnavailable }}
  # A pod that is not ready does no work that an eviction could disturb.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "taskmill.selector" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
{{- end -}}
{{- end -}}

{{- define "taskmill.hpa" -}}
{{- with .values.autoscaling -}}
{{- if .enabled -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "taskmill.fullname" $.root }}-{{ $.component }}
  labels:
    {{- include "taskmill.labels" $.root | nindent 4 }}
    app.kubernetes.io/component: {{ $.component }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "taskmill.fullname" $.root }}-{{ $.component }}
  minReplicas: {{ .minReplicas }}
  maxReplicas: {{ .maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ .targetCPUUtilizationPercentage }}}
{{- end -}}
{{- end -}}
{{- end -}}
