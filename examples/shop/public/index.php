<?php
// The shop's front page. Configuration is read like an array; what a request sees is one revision, whole.

$config = new Cfgstore\Client();
$theme = $config->get('theme');
$database = $config['database'];
$features = $config['features'];
$limits = $config['payment/limits'];
$h = static fn (mixed $value): string => htmlspecialchars(is_string($value) ? $value : json_encode($value, JSON_UNESCAPED_SLASHES));
?>
<!doctype html>
<html lang="en">
<title><?= $h($theme['banner']) ?></title>
<style>
    body { font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 46rem; }
    h1 { color: <?= $h($theme['colour']) ?> }
    td, th { text-align: left; padding: .2rem 1.5rem .2rem 0; vertical-align: top }
</style>
<h1><?= $h($theme['banner']) ?></h1>
<table>
    <tr><th>Configuration revision<td id="revision"><?= $config->revision() ?>

    <tr><th>Database<td id="database"><?= $h("{$database['user']}@{$database['host']}:{$database['port']}/{$database['name']}") ?>

    <tr><th>Express checkout<td id="express_checkout"><?= $features['express_checkout'] ? 'on' : 'off' ?>

    <tr><th>Gift cards<td id="gift_cards"><?= $features['gift_cards'] ? 'on' : 'off' ?>

    <tr><th>Order limit<td id="limit"><?= $h(number_format($limits['per_order'], 2) . ' ' . $limits['currency']) ?>

<?php foreach ($config->all('mail/') as $key => $mail): ?>
    <tr><th>Mail: <?= $h(substr($key, strlen('mail/'))) ?><td><?= $h($mail['subject']) ?>

<?php endforeach ?>
</table>
<p>Served by php-fpm worker <?= getmypid() ?>.
