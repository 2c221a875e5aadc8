<?php
// A request of a pool that has preloaded preload.php.
echo json_encode(Preloaded::read()[0] === 1 ? Preloaded::read()[1] : 'a static variable outlived its request');
