{{- define "payments.name" -}}payment-service{{- end -}}
{{- define "payments.tag" -}}{{ .Values.image.tag | default .Chart.AppVersion }}{{- end -}}
{{- define "payments.image" -}}{{ .Values.image.repository }}:{{ include "payments.tag" . }}{{- end -}}

{{/* A label's value has no plus sign, and is not long. */}}
{{- define "payments.version" -}}{{ include "payments.tag" . | replace "+" "_" | trunc 63 | trimSuffix "-" }}{{- end -}}

{{- define "payments.labels" -}}
app.kubernetes.io/name: {{ include "payments.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ include "payments.version" . | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "payments.selector" -}}
app.kubernetes.io/name: {{ include "payments.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* What the chart itself says of settings; .Values.settings has the last word. */}}
{{- define "payments.settings" -}}
{{- $own := dict "SERVICE_PORT" "8082" -}}
{{- if .Values.metricsPort }}{{ $_ := set $own "METRICS_PORT" (toString .Values.metricsPort) }}{{ end -}}
{{- if .Values.keyVault.enabled }}{{ $_ := set $own "SECRETS_DIR" "/mnt/secrets" }}{{ end -}}
{{- if .Values.trial.postgresql.enabled }}{{ $_ := set $own "DB_HOST" (printf "%s-postgresql" (include "payments.name" .)) }}{{ $_ := set $own "DB_NAME" "payments" }}{{ $_ := set $own "DB_USER" "payments" }}{{ end -}}
{{- if .Values.trial.redis.enabled }}{{ $_ := set $own "REDIS_HOST" (printf "%s-redis" (include "payments.name" .)) }}{{ end -}}
{{- if .Values.trial.sandbox.enabled }}{{ $_ := set $own "SANDBOX_PROVIDER_URL" (printf "http://%s-sandbox:8081" (include "payments.name" .)) }}{{ $_ := set $own "TRIP_SERVICE_URL" (printf "http://%s-sandbox:8081" (include "payments.name" .)) }}{{ end -}}
{{- range $name, $value := .Values.settings }}
{{- if has $name (list "SERVICE_PORT" "WORKER_PORT" "METRICS_PORT" "HEALTH_PORT" "PROMETHEUS_MULTIPROC_DIR") }}{{ fail (printf "settings.%s: probes and policies know its value; see metricsPort and worker.port" $name) }}{{ end -}}
{{- if has $name ($.Files.Lines "files/secret-settings.txt") }}{{ fail (printf "settings.%s is secret, and everybody may read a ConfigMap: put it into the Secret %s" $name $.Values.secretName) }}{{ end -}}
{{ $_ := set $own $name (toString $value) }}{{ end -}}
{{- toYaml $own -}}
{{- end -}}

{{- define "payments.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1001
runAsGroup: 1001
fsGroup: 1001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "payments.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "payments.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- include "payments.podSecurity" . | nindent 2 }}
{{- end -}}

{{- define "payments.spread" -}}
{{- if .root.Values.topologySpread }}
topologySpreadConstraints:
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "payments.selector" $ | nindent 8 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "payments.volumes" -}}
- name: tmp
  emptyDir: {}
{{- if .root.Values.keyVault.enabled }}
- name: secrets
  csi:
    driver: secrets-store.csi.k8s.io
    readOnly: true
    volumeAttributes:
      secretProviderClass: {{ .class }}
{{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "payments.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .Values.keyVault.enabled }}
- {name: secrets, mountPath: /mnt/secrets, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "payments.envFrom" -}}
- configMapRef: {name: {{ include "payments.name" . }}}
{{- if not .Values.keyVault.enabled }}
- secretRef: {name: {{ .Values.secretName }}}
{{- end }}
{{- end -}}
