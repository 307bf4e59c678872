# shellcheck shell=sh
# Part of the entrypoint: checks the certificate of optional/tls.conf.
certificates=/etc/nginx/tls
host_path=${MIRROR_TLS_DIR:-$certificates}

# certificate.js writes it again; without HTTPS, control must not tell the end of an earlier certificate.
[ ! -w /logs ] || rm -f /logs/certificate.pem
if [ -e /tmp/nginx/tls.conf ]; then
  [ -d "$certificates" ] || stop "MIRROR_NGINX=tls: set MIRROR_TLS_DIR to a directory with fullchain.pem and privkey.pem"
  for file in fullchain.pem privkey.pem; do
    # A link that leaves the directory, such as certbot's, is broken inside the container.
    [ -e "$certificates/$file" ] || stop "$host_path/$file: missing, or a link that leaves the directory"
    [ -r "$certificates/$file" ] || stop "$host_path/$file: not readable by user $(id -u); run chown $(id -u) $host_path/$file"
  done
  port=:${MIRROR_TLS_PORT:-8443}
  [ "$port" != :443 ] || port=
  echo "set \$tls_port '$port';" >/tmp/nginx/tls_port
  output=$(nginx -e stderr -t -q 2>&1) || stop "$output
$host_path: fullchain.pem must be the PEM certificate and its intermediates, privkey.pem its key without a passphrase"
elif [ -d "$certificates" ]; then
  # compose would publish the port, but nothing would listen.
  stop "MIRROR_TLS_DIR is set, but MIRROR_NGINX lacks tls"
fi
