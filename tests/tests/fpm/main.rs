//! What an application sees in php-fpm behind nginx, under load and while everything around it changes.

mod fresh;
mod leak;
mod pair;
mod reload;
