# shellcheck shell=sh
# Has optional/tls.conf what it needs? A part of the entrypoint, as checks/htpasswd.sh.
certificates=/etc/nginx/tls
theirs=${MIRROR_TLS_DIR:-$certificates}

if [ -e /tmp/nginx/tls.conf ]; then
  [ -d "$certificates" ] || stop "MIRROR_NGINX=tls: set MIRROR_TLS_DIR, a directory with fullchain.pem and privkey.pem"
  for file in fullchain.pem privkey.pem; do
    # Also a link out of the directory, such as certbot's, leads nowhere in here.
    [ -e "$certificates/$file" ] || stop "$theirs/$file: no such file, or a link that leads out of the directory"
    [ -r "$certificates/$file" ] || stop "$theirs/$file: not readable by $(id -u): chown $(id -u) $theirs/$file"
  done
  port=:${MIRROR_TLS_PORT:-8443}
  [ "$port" != :443 ] || port=
  echo "set \$tls_port '$port';" >/tmp/nginx/tls_port
  said=$(nginx -e stderr -t -q 2>&1) || stop "$said
$theirs: fullchain.pem must be a certificate in PEM, then its intermediates; privkey.pem its key, without a passphrase"
elif [ -d "$certificates" ]; then
  # Its port would be published, and nobody behind it.
  stop "MIRROR_TLS_DIR is set, but MIRROR_NGINX does not name tls"
fi
