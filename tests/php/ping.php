<?php
echo 'pong';
